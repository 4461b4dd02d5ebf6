import type { BytesReceipt } from "../driver/protocol.ts"
import type { Wrong } from "./judged-memory.ts"

/** Whoever takes part in a load: an engine, or the ceiling. */
export interface Contender extends AsyncDisposable {
  readonly name: string
  readonly role: "ceiling" | "kvferry" | "peer"
  readonly about: string
  readonly version: string
  readonly micros?: {
    readonly open: number
    readonly register: number
    readonly connect: number
    readonly prepare: number
  }
  /** Moves everything once, and looks at every byte. @throws WrongBytes, DriverFailed. */
  verify(): Promise<void>
  /** Moves everything again and again for so long, at least once, and looks at what landed. @throws WrongBytes, DriverFailed. */
  round(round: number, millis: number): Promise<RoundOfContender>
  /** After the last round: looks at every byte once more. @throws WrongBytes, DriverFailed. */
  finish(): Promise<Finished>
  /** Ends its processes, and keeps its memory: the ceiling may still use it. */
  end(): Promise<void>
  /** What its processes wrote to their standard error, for a report. */
  readonly logs: readonly { readonly name: string; readonly text: string }[]
}

export interface RoundOfContender {
  /** Time of everything once, from the median of the round; where several agents post at once, from their mean rates together. */
  readonly micros: number
  /** Each time that was taken. */
  readonly samples: readonly number[]
  /** Bytes that moved in the round, all repeats together. */
  readonly bytes: number
  /** Processor time of all its processes. */
  readonly cpuMicros: number
}

export interface Finished {
  readonly hash: string
  readonly residentBytes?: { readonly source: number; readonly target: number }
  readonly receipt?: BytesReceipt
}

/** Bytes are not what they should be: this engine has no rate. */
export class WrongBytes extends Error {
  override readonly name = "WrongBytes"
  readonly wrong: Wrong & { readonly agent: string }

  constructor(agent: string, wrong: Wrong) {
    super(wrong.text)
    this.wrong = { ...wrong, agent }
  }
}
