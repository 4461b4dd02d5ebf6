import type { KvError } from "../errors/kv-error.ts"
import type { Connection, RegionDescriptor } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import type { CallOptions } from "./calls.ts"
import type { ChosenPath } from "./choose-path.ts"

/** A peer as those see it who read its blocks under a lease. */
export interface SourcePeer {
  readonly card: Card
  readonly path: ChosenPath
  readonly connection: Connection
  /** Why it is gone; undefined while it is there. */
  readonly lost: KvError | undefined
  /** Its regions of the layers, in their order. */
  readonly layers: readonly RegionDescriptor[]
  /** Its region of stamps. @throws KvError KV_PEER_REFUSED when it has none, or one that is too small. */
  readonly epochs: RegionDescriptor
  /** The hashes that it made of a lent sequence. */
  seals(lease: string, options: CallOptions): Promise<BigUint64Array>
  /** Gives a lease back. */
  release(lease: string, options: CallOptions & { readonly note?: string }): Promise<void>
}
