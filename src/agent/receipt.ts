import type { KvErrorRecord } from "../errors/kv-error.ts"

/** One side of a transfer, told apart from an earlier life of the same process by its boot id. */
export interface Party {
  /** Operating system process id. */
  readonly pid: number
  /** Name of the agent, chosen by its operator or made at start. */
  readonly agentId: string
  /** Random for each start of the process. */
  readonly bootId: string
}

/** How much of a transfer is checked: nothing, or a hash for each (layer, block). */
export type IntegrityLevel = "none" | "full"

/** Where two caches first differ. `head` is a key/value head; `plane` says whether its key or its value. */
export interface Difference {
  readonly layer: number
  /** Position of the block in the sequence, not its id in the pool. */
  readonly block: number
  readonly head?: number
  readonly plane?: "key" | "value"
}

/** How a ticket can end. */
export type TicketEnd = "delivered" | "failed" | "cancelled" | "expired"

/** The evidence of one finished ticket. Times in microseconds, sizes in bytes, rates in bytes per second. */
export interface TransferReceipt {
  readonly schema: "kvferry/receipt/1"
  readonly ticket: string
  readonly requestId: string
  /** W3C trace context (`traceparent`) of the request. */
  readonly trace: string
  readonly state: TicketEnd
  readonly source: Party
  readonly target: Party
  readonly path: {
    readonly transport: string
    /** Why this path was chosen, and what was wrong with each path before it. */
    readonly why: string
    readonly rails: readonly { readonly rail: number; readonly bytes: number }[]
  }
  readonly tokens: number
  readonly layers: number
  /** Blocks of the sequence; each has one part per layer. */
  readonly blocks: number
  readonly pieces: number
  readonly bytes: number
  readonly micros: {
    readonly grant: number
    readonly plan: number
    readonly move: number
    readonly prove: number
    readonly total: number
  }
  /** Payload bytes over the time of the move alone. */
  readonly bytesPerSecond: number
  readonly retries: number
  readonly integrity: {
    readonly level: IntegrityLevel
    /** Hashes compared. */
    readonly checked: number
    readonly verdict: "identical" | "different" | "unchecked"
    readonly firstDifference?: Difference
  }
  readonly error?: KvErrorRecord
}
