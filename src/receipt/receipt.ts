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

/**
 * How much of a transfer is checked, each level with all that the levels before it check.
 *
 * - `none`: nothing.
 * - `epoch`: after the last byte, the stamps of the source's blocks are read: none of them was reused meanwhile.
 * - `sampled`: hashes of some (layer, block) units, drawn anew for each transfer.
 * - `full`: a hash for each (layer, block).
 */
export type IntegrityLevel = "none" | "epoch" | "sampled" | "full"

/** From the weakest to the strongest. */
export const integrityLevels: readonly IntegrityLevel[] = ["none", "epoch", "sampled", "full"]

/** The stronger of two levels: what is used where a policy names the least that is allowed. */
export function strongerIntegrity(a: IntegrityLevel, b: IntegrityLevel): IntegrityLevel {
  return integrityLevels.indexOf(a) >= integrityLevels.indexOf(b) ? a : b
}

/**
 * What the checks found.
 *
 * - `identical`: every hash that was compared agreed, and every stamp.
 * - `current`: every stamp agreed, and no hash was asked for (`epoch`).
 * - `different`: a hash disagreed.
 * - `reused`: a stamp had moved: the source gave a block to somebody else before all of it had been read.
 * - `unchecked`: nothing was compared.
 */
export type Verdict = "identical" | "current" | "different" | "reused" | "unchecked"

/** Every verdict there is. */
export const verdicts: readonly Verdict[] = ["identical", "current", "different", "reused", "unchecked"]

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

/** Name and version of a receipt's form. */
export const receiptSchema = "kvferry/receipt/2"

/** The evidence of one finished ticket. Times in microseconds, sizes in bytes, rates in bytes per second. */
export interface TransferReceipt {
  readonly schema: typeof receiptSchema
  readonly ticket: string
  readonly requestId: string
  /** W3C trace context (`traceparent`) of the request. */
  readonly trace: string
  readonly state: TicketEnd
  /** When the ticket ended, as an ISO 8601 time of this machine's clock. */
  readonly endedAt: string
  /** `read` pulled the source's blocks, `write` pushed them; either way bytes went from source to target. */
  readonly direction: "read" | "write"
  /** `attach` used the source's blocks in place: nothing was copied. */
  readonly mode: "copy" | "attach"
  readonly source: Party
  readonly target: Party
  readonly path: {
    readonly transport: string
    /** Why this path was chosen, and what was wrong with each path before it. */
    readonly why: string
    readonly rails: readonly {
      readonly rail: number
      readonly bytes: number
      /** The NIC, where the rail is one. */
      readonly device?: string
      /** Flags that this side's regions were registered with on it. */
      readonly registered?: string
    }[]
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
    /** Checking the plan against both sides' regions, and giving it to the fabric. 0 for a prepared transfer. */
    readonly post: number
    readonly move: number
    readonly prove: number
    readonly total: number
  }
  /** Payload bytes over the time of the move alone. */
  readonly bytesPerSecond: number
  readonly retries: number
  readonly integrity: {
    /** The stronger of what the transfer asked for and what this side's policy wants at least. */
    readonly level: IntegrityLevel
    /** Hashes compared. */
    readonly checked: number
    /** Stamps compared: one for each block of the source. */
    readonly epochs: number
    readonly verdict: Verdict
    readonly firstDifference?: Difference
  }
  readonly error?: KvErrorRecord
}
