import type {
  Answers,
  Capability,
  EngineError,
  EngineReceipt,
  Questions,
  TransferState,
} from "../driver/protocol.ts"

/** An agent of kvferry as its driver holds it, at one of the two levels. */
export interface DrivenAgent extends AsyncDisposable {
  /** For people. */
  readonly about: string
  readonly capabilities: readonly Capability[]
  /** Descriptors of its regions' memory files, in their order. */
  readonly files: readonly number[]
  readonly regionBytes: number
  readonly micros: Answers["open"]["micros"]
  invite(peer: string): Promise<string>
  /** Returns the path that is used. */
  connect(peer: string, card: string): Promise<string>
  disconnect(peer: string): Promise<void>
  lend(question: Questions["lend"]): string
  withdraw(offer: string): Promise<void> | void
  reuse(blocks: readonly number[]): void
  prepare(question: Questions["prepare"]): Promise<PreparedTransfer>
  /** What peers said since the last call, in order. */
  notes(): Answers["notes"]["notes"]
  deregister(): Promise<void>
}

/** A transfer that can be posted. */
export interface PreparedTransfer {
  /** Starts it. Never throws: what goes wrong is how it ends. */
  post(timeoutMillis: number): RunningTransfer
  /** Forgets it. */
  release(): Promise<void>
}

/** A transfer under way. */
export interface RunningTransfer {
  /** Never rejects. */
  readonly ended: Promise<TransferEnd>
  cancel(): void
}

/** How a transfer has ended. */
export interface TransferEnd {
  readonly state: Exclude<TransferState, "pending">
  readonly error?: EngineError
  readonly receipt?: EngineReceipt
}
