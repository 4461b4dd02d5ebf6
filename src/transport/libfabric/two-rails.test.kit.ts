import assert from "node:assert/strict"
import type { FabricProvider } from "../../config/rdma-settings.ts"
import { defaultRdmaSettings } from "../../config/rdma-settings.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import type { CompletionSink, Direction, LaneWork, LocalLane, WorkFailure } from "../rdma/driver.ts"
import type { Rights } from "../transport.ts"
import { chooseOffers } from "./choose-offers.ts"
import { LibfabricPort } from "./libfabric-port.ts"
import { LibfabricRail } from "./libfabric-rail.ts"
import { openPreparedLibfabric } from "./prepared-libfabric.ts"

/** Why libfabric cannot be tested here; false when it can. */
export function noLibfabric(): string | false {
  try {
    openPreparedLibfabric({})
    return false
  } catch (thrown) {
    return `no libfabric on this machine: ${thrown instanceof Error ? thrown.message.slice(0, 120) : thrown}`
  }
}

/** Writes down what a port reports. */
export class Notes implements CompletionSink {
  readonly landedReads: number[] = []
  readonly landedWrites: number[] = []
  readonly failures: {
    readonly direction: Direction
    readonly seq: number
    readonly failure: WorkFailure
  }[] = []
  readonly ends: (WorkFailure | undefined)[] = []
  provenCount = 0

  landed(_lane: number, direction: Direction, seq: number): void {
    if (direction === "read") this.landedReads.push(seq)
    else this.landedWrites.push(seq)
  }
  failed(_lane: number, direction: Direction, seq: number, failure: WorkFailure): void {
    this.failures.push({ direction, seq, failure })
  }
  confirmed(): void {
    assert.fail("libfabric sends no notices")
  }
  proven(): void {
    this.provenCount += 1
  }
  ended(_lane: number, failure: WorkFailure | undefined): void {
    this.ends.push(failure)
  }
  broken(why: string): void {
    assert.fail(why)
  }
}

/** Two rails of one process, joined by one lane: A owns memory, B reads and writes it. Both are driven by one thread. */
export class TwoRails {
  readonly rails: readonly [LibfabricRail, LibfabricRail]
  readonly ports: readonly [LibfabricPort, LibfabricPort]
  readonly notes = [new Notes(), new Notes()] as const
  readonly source: HostMapping
  readonly target: HostMapping
  readonly #free: () => void
  lanes: LocalLane[] = []

  constructor(provider: FabricProvider, regionBytes: number) {
    const library = openPreparedLibfabric({})
    const { offers, traits, free } = chooseOffers(library, {
      ...defaultRdmaSettings,
      fabricProviders: [provider],
      host: "127.0.0.1",
      rails: 1,
    })
    this.#free = free
    const open = (): LibfabricRail =>
      new LibfabricRail({ library, offer: offers[0]!, traits, queueDepth: 64, rate: 1 })
    this.rails = [open(), open()]
    this.ports = [new LibfabricPort(this.rails[0].port), new LibfabricPort(this.rails[1].port)]
    this.source = hostMemory.map(regionBytes, "fabric-a")
    this.target = hostMemory.map(regionBytes, "fabric-b")
    const words = new Uint32Array(this.source.view(0, regionBytes).buffer, 0, regionBytes / 4)
    for (let i = 0; i < words.length; i++) words[i] = i * 2654435761
  }

  /** Joins them by a lane over which B may do what `rights` say; proves it. */
  async join(rights: Rights, lane = 1): Promise<void> {
    const a = await this.rails[0].openLane(rights)
    const b = await this.rails[1].openLane({ read: false, write: false })
    this.lanes.push(a, b)
    await a.connect(JSON.parse(JSON.stringify(b.end)))
    await b.connect(JSON.parse(JSON.stringify(a.end)))
    this.ports[0].attach(lane, structuredClone(a.handle))
    this.ports[1].attach(lane, structuredClone(b.handle))
    const before = this.notes[1].provenCount
    this.ports[1].probe(lane)
    await this.until(() => this.notes[1].provenCount > before || this.notes[1].ends.length > 0)
  }

  /** Lets both ports look until something holds; fails after 10 seconds. */
  async until(holds: () => boolean): Promise<void> {
    const end = performance.now() + 10_000
    while (!holds()) {
      assert.ok(performance.now() < end, "10 s passed")
      for (const i of [0, 1] as const) this.ports[i].reap(this.notes[i])
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** The work of `count` pieces of `length` bytes, at the same places on both sides. */
  async work(
    direction: Direction,
    count: number,
    length: number,
    keys: { readonly local: number; readonly remote: number; readonly iova: number },
  ): Promise<LaneWork> {
    const local = this.target.addressOf(0, count * length)
    const columns = {
      localAddress: Float64Array.from({ length: count }, (_, i) => local + i * length),
      remoteAddress: Float64Array.from({ length: count }, (_, i) => keys.iova + i * length),
      length: new Uint32Array(count).fill(length),
      localKey: new Uint32Array(count),
      remoteKey: new Uint32Array(count),
    }
    return {
      direction,
      units: columns,
      localKeys: Float64Array.of(keys.local),
      remoteKeys: Uint32Array.of(keys.remote),
    }
  }

  async close(): Promise<void> {
    for (const port of this.ports) port[Symbol.dispose]()
    for (const lane of this.lanes) await lane.close()
    for (const rail of this.rails) await rail[Symbol.asyncDispose]()
    this.#free()
    this.source[Symbol.dispose]()
    this.target[Symbol.dispose]()
  }
}
