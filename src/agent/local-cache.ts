import type { KvLayout } from "../kv/kv-layout.ts"
import type { MemorySpan } from "../memory/host-memory.ts"
import type { IntegrityLevel, Party, TransferReceipt } from "../receipt/receipt.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import type { Hasher } from "../verify/hasher.ts"
import type { Clock } from "./control-network.ts"
import type { Seals } from "./seals.ts"
import type { StampArena } from "./stamps.ts"
import type { TicketEvent, TicketState } from "./ticket-state.ts"

/** Our side of every transfer: the cache that is read from and written into, and what transfers share. */
export interface LocalCache {
  readonly party: Party
  readonly clock: Clock
  readonly layout: KvLayout
  /** `spans[l]` is the region of layer l; its number in our fabrics is l. */
  readonly spans: readonly MemorySpan[]
  readonly hasher: Hasher
  readonly seals: Seals
  readonly stamps: StampArena
  /** What a transfer uses that asks for nothing. */
  readonly integrity: IntegrityLevel
  /** What no transfer goes below. */
  readonly integrityFloor: IntegrityLevel
  /** A whole number from 0 to below `below`. */
  random(below: number): number
  /** A fresh ticket id: 16 hexadecimal digits. */
  ticketId(): string
  readonly onStep?: ((from: TicketState, event: TicketEvent) => void) | undefined
  readonly onReceipt?: ((receipt: TransferReceipt) => void) | undefined
}

/** A sequence in our own blocks. */
export function sequenceOf(cache: LocalCache, blocks: Uint32Array, tokens: number): StoredSequence {
  return { layout: cache.layout, spans: cache.spans, blocks, tokens }
}
