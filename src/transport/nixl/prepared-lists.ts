import { KvError } from "../../errors/kv-error.ts"
import type { NixlAgent } from "../../os/nixl/nixl-agent.ts"
import { inside } from "../check-move.ts"
import type { RemoteAgent } from "./remote-agents.ts"
import type { Place, RegionKey } from "./side-messages.ts"
import type { NixlPieces, PrepareCommand } from "./thread-messages.ts"

/**
 * What one request of NIXL carries at most. A request cannot be stopped once it was posted, and where a processor
 * copies, posting it is the copy: at 5 GB/s, 8 MiB keep the thread for 1.6 ms.
 */
const requestBytesMax = 8 * 2 ** 20
const requestEntriesMax = 1024

/** A part of a move that is one request of NIXL. */
export interface RequestPart {
  readonly first: number
  readonly count: number
}

/** The memory of a prepared move as NIXL's lists of it: ours made once, the peer's when its places are known. */
export class PreparedLists {
  readonly connection: number
  readonly direction: "read" | "write"
  /** The peer's regions. */
  readonly regions: readonly RegionKey[]
  readonly parts: readonly RequestPart[]
  readonly local: number
  readonly #agent: NixlAgent
  readonly #pieces: NixlPieces
  /** The piece that each entry is cut from, and where in it the entry begins. */
  readonly #piece: Uint32Array
  readonly #within: Float64Array
  readonly #length: Float64Array
  readonly #localRegions: ReadonlySet<number>
  #remote: number | undefined
  #live = true

  /** @param deviceOf the device number of one of our regions. @throws KvError KV_RKEY_REJECTED. */
  constructor(agent: NixlAgent, command: PrepareCommand, deviceOf: (region: number) => number) {
    const { pieces } = command
    this.connection = command.connection
    this.direction = command.direction
    this.regions = command.regions
    this.#agent = agent
    this.#pieces = pieces
    this.#localRegions = new Set(pieces.localRegion)
    let count = 0
    for (let i = 0; i < pieces.count; i++) count += Math.ceil(pieces.length[i]! / requestBytesMax)
    this.#piece = new Uint32Array(count)
    this.#within = new Float64Array(count)
    this.#length = new Float64Array(count)
    this.parts = this.#cut()
    const devices = new Map([...this.#localRegions].map((region) => [region, deviceOf(region)]))
    const address = new Float64Array(count)
    const device = new Float64Array(count)
    for (let i = 0; i < count; i++) {
      const piece = this.#piece[i]!
      address[i] = pieces.localAddress[piece]! + this.#within[i]!
      device[i] = devices.get(pieces.localRegion[piece]!)!
    }
    this.local = agent.describe("", count, address, this.#length, device)
  }

  usesLocal(region: number): boolean {
    return this.#localRegions.has(region)
  }

  /** False once it was released: a region of it was closed, say. */
  get live(): boolean {
    return this.#live
  }

  /**
   * NIXL's list of the peer's memory. Every piece is held against the region's true length first.
   * @throws KvError KV_REGION_BOUNDS.
   */
  remote(agent: RemoteAgent, places: ReadonlyMap<number, Place>): number {
    if (this.#remote !== undefined) return this.#remote
    const { remoteRegion, remoteOffset, length } = this.#pieces
    const count = this.#piece.length
    const address = new Float64Array(count)
    const device = new Float64Array(count)
    for (let i = 0; i < count; i++) {
      const piece = this.#piece[i]!
      const place = places.get(remoteRegion[piece]!)!
      if (!inside(remoteOffset[piece]!, length[piece]!, place.byteLength)) {
        throw new KvError("KV_REGION_BOUNDS", {
          what: `piece ${piece} names ${length[piece]} bytes at offset ${remoteOffset[piece]} of the peer's region ${place.region}`,
          why: `that region has ${place.byteLength} bytes`,
          next: "check that the plan was made for these two layouts",
        })
      }
      address[i] = place.address + remoteOffset[piece]! + this.#within[i]!
      device[i] = place.device
    }
    this.#remote = this.#agent.describe(agent.name, count, address, this.#length, device)
    return this.#remote
  }

  /** Gives the lists back; nothing that uses them is under way. @param destroyed when the agent went with them. */
  release(destroyed = false): void {
    if (!this.#live) return
    this.#live = false
    if (destroyed) return
    this.#agent.releaseList(this.local)
    if (this.#remote !== undefined) this.#agent.releaseList(this.#remote)
  }

  /** Cuts long pieces into entries, and the entries into requests. */
  #cut(): RequestPart[] {
    const parts: RequestPart[] = []
    let [entry, first, bytes] = [0, 0, 0]
    const close = (): void => {
      if (entry > first) parts.push({ first, count: entry - first })
      first = entry
      bytes = 0
    }
    for (let piece = 0; piece < this.#pieces.count; piece++) {
      const length = this.#pieces.length[piece]!
      for (let within = 0; within < length; within += requestBytesMax) {
        const cut = Math.min(requestBytesMax, length - within)
        if (bytes + cut > requestBytesMax || entry - first === requestEntriesMax) close()
        this.#piece[entry] = piece
        this.#within[entry] = within
        this.#length[entry] = cut
        entry += 1
        bytes += cut
      }
    }
    close()
    return parts
  }
}
