import { asKvError, KvError } from "../errors/kv-error.ts"
import {
  type Difference,
  type IntegrityLevel,
  type Party,
  receiptSchema,
  type TransferReceipt,
} from "../receipt/receipt.ts"
import type { PreparedMove, RailFacts } from "../transport/transport.ts"
import { giveController, takeController } from "./abort-pool.ts"
import type { Clock } from "./control-network.ts"
import { isEnd, nextTicketState, type TicketEvent, type TicketState } from "./ticket-state.ts"

/** What every transfer may be told. */
export interface TicketOptions {
  /** Joins the receipt to a request of the caller's. */
  readonly requestId?: string
  /** W3C `traceparent`. */
  readonly trace?: string
  /** How much is checked; never less than the agent's floor. The agent's own level when absent. */
  readonly integrity?: IntegrityLevel
  /** After that the ticket has ended, whatever happened. Half a minute when absent. */
  readonly timeoutMillis?: number
  readonly signal?: AbortSignal
}

/** A transfer that did not end `delivered`, with its receipt. */
export class TicketFailed extends KvError {
  readonly receipt: TransferReceipt

  constructor(receipt: TransferReceipt, error: KvError) {
    super(error.code, { ...error.toJSON(), cause: error })
    this.receipt = receipt
  }
}

/** What is known of a transfer before it begins. */
export interface TicketFacts {
  readonly id: string
  readonly clock: Clock
  readonly source: Party
  readonly target: Party
  readonly transport: string
  readonly why: string
  /** Its rails in words, where the fabric has some. Asked at the end: regions come and go. */
  readonly describe?: (() => readonly RailFacts[]) | undefined
  readonly direction: "read" | "write"
  readonly mode: "copy" | "attach"
  readonly level: IntegrityLevel
  readonly layers: number
  /** Tokens in one of the target's blocks. */
  readonly blockTokens: number
  /** Hears of every step. For simulations, which count what was reached. */
  readonly onStep?: ((from: TicketState, event: TicketEvent) => void) | undefined
  /** Hears of the end. For logs. */
  readonly onEnd?: ((receipt: TransferReceipt) => void) | undefined
}

/** Deadline of a transfer that was told none. */
const timeoutMillisDefault = 30_000

/** A transfer's own view of itself while it runs: what it must heed, and what its receipt will tell. */
export class TicketRun {
  readonly deadline: number
  readonly signal: AbortSignal
  tokens = 0
  pieces = 0
  bytes = 0
  retries = 0
  rails: readonly { readonly rail: number; readonly bytes: number }[] = []
  hashesChecked = 0
  epochsChecked = 0
  difference: Difference | undefined
  /** The move, once it is posted: it knows how far it is. */
  move: Pick<PreparedMove, "landed"> | undefined
  reused = false
  readonly at: Record<"start" | "granted" | "planned" | "posted" | "moved" | "proven", number>
  readonly #facts: TicketFacts
  #state: TicketState = "planned"

  constructor(facts: TicketFacts, deadline: number, start: number, signal: AbortSignal) {
    this.#facts = facts
    this.deadline = deadline
    this.signal = signal
    const never = Number.NaN
    this.at = { start, granted: never, planned: never, posted: never, moved: never, proven: never }
  }

  get state(): TicketState {
    return this.#state
  }

  /** Bytes that have moved: all of them once they have landed. */
  landed(): number {
    if (!Number.isNaN(this.at.moved)) return this.bytes
    return this.#state === "posted" ? (this.move?.landed?.() ?? 0) : 0
  }

  /** Takes the next step, and notes when. */
  step(event: TicketEvent): void {
    const from = this.#state
    this.#state = nextTicketState(from, event)
    const now = this.#facts.clock.now()
    if (event === "grant") this.at.granted = now
    else if (event === "post") this.at.posted = now
    else if (event === "land") this.at.moved = now
    else if (event === "prove") this.at.proven = now
    this.#facts.onStep?.(from, event)
  }

  /** Notes that the plan is made. */
  planned(): void {
    this.at.planned = this.#facts.clock.now()
  }
}

/**
 * The handle of a transfer in flight.
 *
 * It always ends, with a receipt, whatever happens: `receipt` never rejects, and `done` rejects unless the transfer was
 * delivered. Once either has settled, nothing of the transfer writes into the target any more: its blocks may be used,
 * unless its error says that a library `mayStillWrite`.
 */
export class Ticket {
  readonly id: string
  /** The evidence, however the transfer ended. */
  readonly receipt: Promise<TransferReceipt>
  readonly #run: TicketRun
  /** Given back at the end: a later cancel must not reach the next transfer. */
  #abort: AbortController | undefined = takeController()
  #done: Promise<TransferReceipt> | undefined
  #error: KvError | undefined

  /** @param body takes the steps; when it returns the transfer is delivered. */
  constructor(facts: TicketFacts, options: TicketOptions, body: (run: TicketRun) => Promise<void>) {
    this.id = facts.id
    const start = facts.clock.now()
    const own = this.#abort!.signal
    const signal = options.signal === undefined ? own : AbortSignal.any([own, options.signal])
    this.#run = new TicketRun(facts, start + (options.timeoutMillis ?? timeoutMillisDefault), start, signal)
    this.receipt = this.#live(facts, options, body)
  }

  get state(): TicketState {
    return this.#run.state
  }

  /**
   * How far it is: `bytes` have moved of `bytesTotal`, which is 0 until the plan is made. Over a fabric that cannot tell
   * (tcp, today) `bytes` goes from 0 to all at once.
   */
  get progress(): { readonly state: TicketState; readonly bytes: number; readonly bytesTotal: number } {
    const { state, bytes: bytesTotal } = this.#run
    return { state, bytes: Math.min(this.#run.landed(), bytesTotal), bytesTotal }
  }

  /** The receipt of a delivered transfer. @throws TicketFailed with the receipt of any other. */
  get done(): Promise<TransferReceipt> {
    this.#done ??= this.receipt.then((receipt) => {
      if (this.#error !== undefined) throw new TicketFailed(receipt, this.#error)
      return receipt
    })
    return this.#done
  }

  /** Ends the transfer early; `receipt` resolves when the target may be used again. */
  cancel(): void {
    this.#abort?.abort()
  }

  async #live(
    facts: TicketFacts,
    options: TicketOptions,
    body: (run: TicketRun) => Promise<void>,
  ): Promise<TransferReceipt> {
    const run = this.#run
    try {
      if (run.signal.aborted) {
        throw new KvError("KV_CANCELLED", { what: "the transfer was cancelled before it began" })
      }
      await body(run)
      run.step("deliver")
    } catch (thrown) {
      this.#error = asKvError(thrown, "KV_INTERNAL", "a transfer failed by a mistake of ours")
      const { code } = this.#error
      run.step(code === "KV_CANCELLED" ? "cancel" : code === "KV_DEADLINE" ? "expire" : "fail")
    }
    // Signals that were joined to it know it for as long as they live.
    if (options.signal === undefined) giveController(this.#abort!)
    this.#abort = undefined
    const receipt = receiptOf(facts, options, run, this.#error)
    try {
      facts.onEnd?.(receipt)
    } catch (thrown) {
      // A listener's mistake is its own: it is thrown where nobody takes it for the transfer's.
      queueMicrotask(() => {
        throw thrown
      })
    }
    return receipt
  }
}

function receiptOf(
  facts: TicketFacts,
  options: TicketOptions,
  run: TicketRun,
  error: KvError | undefined,
): TransferReceipt {
  const { at, state } = run
  if (!isEnd(state)) throw new Error("a receipt is written at the end")
  const end = facts.clock.now()
  const span = (from: number, to: number): number =>
    Number.isNaN(from) ? 0 : Math.round(((Number.isNaN(to) ? end : to) - from) * 1000)
  const move = span(at.posted, at.moved)
  const moved = !Number.isNaN(at.moved)
  return {
    schema: receiptSchema,
    ticket: facts.id,
    requestId: options.requestId ?? "",
    trace: options.trace ?? "",
    state,
    endedAt: isoTime(facts.clock.wallMillis()),
    direction: facts.direction,
    mode: facts.mode,
    source: facts.source,
    target: facts.target,
    path: { transport: facts.transport, why: facts.why, rails: railsOf(run, facts) },
    tokens: run.tokens,
    layers: facts.layers,
    blocks: Math.ceil(run.tokens / facts.blockTokens),
    pieces: run.pieces,
    bytes: moved && facts.mode === "copy" ? run.bytes : 0,
    micros: {
      grant: span(at.start, at.granted),
      plan: span(at.granted, at.planned),
      post: span(at.planned, at.posted),
      move,
      prove: span(at.moved, at.proven),
      total: span(at.start, end),
    },
    bytesPerSecond: !moved || facts.mode === "attach" ? 0 : Math.round((run.bytes / Math.max(1, move)) * 1e6),
    retries: run.retries,
    integrity: {
      level: facts.level,
      checked: run.hashesChecked,
      epochs: run.epochsChecked,
      verdict: verdictOf(run),
      ...(run.difference === undefined ? {} : { firstDifference: run.difference }),
    },
    ...(error === undefined ? {} : { error: error.toJSON() }),
  }
}

/** What each rail has moved, with the NIC it is and how it reached our regions, where the fabric says so. */
function railsOf({ rails }: TicketRun, { describe }: TicketFacts): TransferReceipt["path"]["rails"] {
  if (describe === undefined) return rails
  const facts = new Map(describe().map((fact) => [fact.rail, fact]))
  return rails.map(({ rail, bytes }) => {
    const { device, registered } = facts.get(rail) ?? {}
    return {
      rail,
      bytes,
      ...(device === undefined ? {} : { device }),
      ...(registered === undefined ? {} : { registered }),
    }
  })
}

let lastTime = { millis: Number.NaN, text: "" }

/** A time as text; many transfers end in one millisecond. */
function isoTime(millis: number): string {
  if (millis !== lastTime.millis) lastTime = { millis, text: new Date(millis).toISOString() }
  return lastTime.text
}

function verdictOf(run: TicketRun): TransferReceipt["integrity"]["verdict"] {
  if (run.reused) return "reused"
  if (run.difference !== undefined) return "different"
  if (run.hashesChecked > 0) return "identical"
  return run.epochsChecked > 0 ? "current" : "unchecked"
}
