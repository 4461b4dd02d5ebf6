import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { inside } from "../check-move.ts"
import type { RegionDescriptor, Rights } from "../transport.ts"
import type { LocalRail, Registration } from "./driver.ts"
import { partsOf } from "./keys.ts"
import type { OpenRegion, RefusedRequest } from "./side-messages.ts"
import type { RegionPart } from "./units.ts"

/** A region as it is registered on every rail. */
export interface BookedRegion {
  readonly span: MemorySpan
  readonly access: Rights
  /** By rail, then by part. */
  readonly registrations: readonly (readonly Registration[])[]
}

/** The regions of one endpoint, registered with all its rails. */
export class RegionBook {
  readonly spans = new Map<number, MemorySpan>()
  /** The same, with what our own requests call their bytes in place of addresses. */
  readonly requestSpans = new Map<number, Pick<MemorySpan, "addressOf">>()
  readonly partBytes: number
  readonly #rails: readonly LocalRail[]
  readonly #atOnceMax: number
  readonly #stuck: (rail: number) => boolean
  readonly #regions = new Map<number, BookedRegion>()
  #flags: readonly string[] | undefined
  readonly #registering = new Set<number>()
  readonly #waiting: (() => void)[] = []
  #atWork = 0

  /**
   * @param atOnceMax registrations that run at the same time.
   * @param stuck whether a rail's library has not come back from a call: it must not be called any more.
   */
  constructor(
    rails: readonly LocalRail[],
    atOnceMax: number,
    partBytes?: number,
    stuck: (rail: number) => boolean = () => false,
  ) {
    this.#rails = rails
    this.#stuck = stuck
    this.#atOnceMax = atOnceMax
    const longest = rails.map(({ registrationBytesMax }) => registrationBytesMax)
    this.partBytes = Math.min(partBytes ?? Number.MAX_SAFE_INTEGER, ...longest)
  }

  /** The flags that the regions were registered with, for people; one text for each kind. */
  get flags(): readonly string[] {
    // Asked for by every receipt, and changed by few calls.
    if (this.#flags === undefined) {
      const all = [...this.#regions.values()].flatMap(({ registrations }) => registrations.flat())
      this.#flags = [...new Set(all.map(({ flags }) => flags.join(" | ")))]
    }
    return this.#flags
  }

  /** @throws KvError KV_LIMIT, KV_OS; nothing stays registered then. */
  async register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    const known = this.spans.has(region) || this.#registering.has(region)
    assert(!known, `region ${region} is registered once: its old key would outlive it`)
    this.#registering.add(region)
    try {
      return await this.#register(region, span, access)
    } finally {
      this.#registering.delete(region)
    }
  }

  async #register(region: number, span: MemorySpan, access: Rights): Promise<RegionDescriptor> {
    const address = span.addressOf(0, span.byteLength)
    // Aligned like the address for every size of page, and without telling it.
    const iova = address % 2 ** 30
    const parts = Array.from(
      { length: partsOf(span.byteLength, this.partBytes) },
      (_, part) => part * this.partBytes,
    )
    const tasks = this.#rails.flatMap((rail, at) =>
      parts.map(async (start, part) => {
        const length = Math.min(this.partBytes, span.byteLength - start)
        const registration = await this.#inTurn(() =>
          rail.register(address + start, length, access, iova + start),
        )
        return { at, part, registration }
      }),
    )
    const results = await Promise.allSettled(tasks)
    const failed = results.find((result) => result.status === "rejected")
    const registrations: Registration[][] = this.#rails.map(() => [])
    for (const result of results) {
      if (result.status === "fulfilled")
        registrations[result.value.at]![result.value.part] = result.value.registration
    }
    if (failed !== undefined) {
      await Promise.all(registrations.flat().map((registration) => registration.close()))
      throw failed.reason
    }
    this.#regions.set(region, { span, access, registrations })
    this.#flags = undefined
    const { iova: first, localAddress } = registrations[0]![0]!
    for (const ofRail of registrations) {
      ofRail.forEach((registration, part) => {
        const start = part * this.partBytes
        assert(
          registration.iova === first + start && registration.localAddress === localAddress + start,
          "all rails call a region's bytes alike",
        )
      })
    }
    this.spans.set(region, span)
    this.requestSpans.set(region, {
      addressOf: (offset, length) => span.addressOf(offset, length) - address + localAddress,
    })
    return {
      region,
      length: span.byteLength,
      rkeys: registrations.flatMap((ofRail) => ofRail.map(({ remoteKey }) => remoteKey)),
      iova: first,
    }
  }

  /** No new move uses the region from here on; `close` gives it back. */
  remove(region: number): BookedRegion | undefined {
    const booked = this.#regions.get(region)
    this.spans.delete(region)
    this.requestSpans.delete(region)
    this.#regions.delete(region)
    this.#flags = undefined
    return booked
  }

  /** Resolves when no NIC touches the region any more, but for those that are stuck. */
  async close({ registrations }: BookedRegion): Promise<void> {
    const closable = registrations.filter((_, rail) => !this.#stuck(rail)).flat()
    await Promise.all(closable.map((registration) => registration.close()))
  }

  async closeAll(): Promise<void> {
    const regions = [...this.#regions.keys()]
    await Promise.all(regions.map((region) => this.close(this.remove(region)!)))
  }

  /** Every region as a session with these rights may use it. */
  openTo(rights: Rights): OpenRegion[] {
    return [...this.#regions].map(([region, booked]) => openRegion(region, booked, rights))
  }

  /** One region as a session with these rights may use it. */
  openRegion(region: number, rights: Rights): OpenRegion {
    return openRegion(region, this.#regions.get(region)!, rights)
  }

  /** Our own keys for one rail, by the rows of a move. */
  localKeys(rows: readonly RegionPart[], rail: number): Float64Array<SharedArrayBuffer> {
    const keys = new Float64Array(new SharedArrayBuffer(rows.length * 8))
    rows.forEach(({ region, part }, row) => {
      const booked = this.#regions.get(region)
      if (booked === undefined) {
        throw new KvError("KV_RKEY_REJECTED", {
          what: `region ${region} of this side is still being registered`,
        })
      }
      keys[row] = booked.registrations[rail]![part]!.localKey
    })
    return keys
  }

  /** What was wrong with a request that a NIC of ours refused. */
  why(
    request: RefusedRequest,
    rights: Rights,
  ): { readonly code: "KV_RKEY_REJECTED" | "KV_PEER_UNTRUSTED" | "KV_REGION_BOUNDS"; readonly what: string } {
    const { region, rail, part, key, offset, length, direction } = request
    const booked = this.#regions.get(region)
    const registration = booked?.registrations[rail]?.[part]
    if (booked === undefined || (registration !== undefined && registration.remoteKey !== key))
      return {
        code: "KV_RKEY_REJECTED",
        what:
          booked === undefined
            ? `region ${region} is not registered`
            : `key 0x${key.toString(16)} is not the key of region ${region} on rail ${rail}`,
      }
    if (!rights[direction]) return { code: "KV_PEER_UNTRUSTED", what: `this session may not ${direction}` }
    if (!booked.access[direction])
      return { code: "KV_PEER_UNTRUSTED", what: `region ${region} is not open for a ${direction}` }
    if (!inside(offset, length, booked.span.byteLength))
      return {
        code: "KV_REGION_BOUNDS",
        what: `${length} bytes at offset ${offset} do not lie in region ${region}, which has ${booked.span.byteLength}`,
      }
    return {
      code: "KV_RKEY_REJECTED",
      what: `region ${region} and its key are as they should be; the NIC refused it all the same`,
    }
  }

  async #inTurn<T>(action: () => Promise<T>): Promise<T> {
    if (this.#atWork >= this.#atOnceMax) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#atWork += 1
    try {
      return await action()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#atWork -= 1
      else next()
    }
  }
}

function openRegion(
  region: number,
  { span, access, registrations }: BookedRegion,
  rights: Rights,
): OpenRegion {
  return {
    region,
    length: span.byteLength,
    iova: registrations[0]![0]!.iova,
    rkeys: registrations.flatMap((ofRail) => ofRail.map(({ remoteKey }) => remoteKey)),
    rights: { read: rights.read && access.read, write: rights.write && access.write },
  }
}
