import { KvError } from "../errors/kv-error.ts"
import type { HostMapping, HostMemory } from "../memory/host-memory.ts"
import { epochBytes } from "../memory/kv-pool.ts"
import { PlanBuilder } from "../plan/transfer-plan.ts"
import type { Connection, Deadline, PreparedMove, RegionDescriptor } from "../transport/transport.ts"

/** Memory that stamps of peers are read into: 1,024 transfers of up to 1,024 blocks at once. */
const arenaBytes = 4 * 2 ** 20
/** Stamps that lie this close together are read as one run. */
const runBytesMax = 4096

/** Where stamps of peers land in our memory: one small region, registered once, dealt out in slots. */
export class StampArena implements Disposable {
  /** Its number in our fabrics. */
  readonly region: number
  readonly mapping: HostMapping
  readonly #free: { start: number; length: number }[] = [{ start: 0, length: arenaBytes }]

  /** @throws KvError KV_OS. */
  constructor(memory: HostMemory, region: number) {
    this.region = region
    this.mapping = memory.map(arenaBytes, "stamps")
  }

  /** @throws KvError KV_LIMIT when the slots of all running transfers fill the arena. */
  take(byteLength: number): { readonly start: number; readonly length: number } {
    const length = Math.ceil(byteLength / 64) * 64
    const at = this.#free.findIndex((run) => run.length >= length)
    const run = this.#free[at]
    if (run === undefined) {
      throw new KvError("KV_LIMIT", {
        what: `${byteLength} bytes for stamps were asked for, and ${arenaBytes} are in use by other transfers`,
        next: "start fewer transfers at once",
      })
    }
    const { start } = run
    run.start += length
    run.length -= length
    if (run.length === 0) this.#free.splice(at, 1)
    return { start, length }
  }

  /** Takes a slot back; neighbours grow together. */
  give(slot: { readonly start: number; readonly length: number }): void {
    const at = this.#free.findIndex((run) => run.start > slot.start)
    const place = at < 0 ? this.#free.length : at
    this.#free.splice(place, 0, { ...slot })
    for (const i of [place, place - 1]) {
      const [left, right] = [this.#free[i], this.#free[i + 1]]
      if (left === undefined || right === undefined || left.start + left.length !== right.start) continue
      left.length += right.length
      this.#free.splice(i + 1, 1)
    }
  }

  [Symbol.dispose](): void {
    this.mapping[Symbol.dispose]()
  }
}

/** Which blocks' stamps are read, and what they were when the lease began. */
export interface StampRequest {
  readonly blocks: Uint32Array
  readonly epochs: Uint32Array
  /** The peer's region of stamps. */
  readonly remote: RegionDescriptor
}

/**
 * A look at the stamps of a peer's blocks, ready to be taken many times.
 *
 * The owner moves a stamp before it reuses the block, and we look after the last byte was read: a stamp that has not
 * moved proves that every byte was still the block's. It costs the owner nothing.
 */
export class StampCheck implements AsyncDisposable {
  readonly #arena: StampArena
  readonly #slot: { readonly start: number; readonly length: number }
  readonly #move: PreparedMove
  readonly #expected: Uint32Array
  readonly #blocks: Uint32Array
  /** Index of each block's stamp in the slot. */
  readonly #places: Uint32Array
  readonly #view: Int32Array

  /** @throws KvError KV_LIMIT, KV_RKEY_REJECTED, KV_REGION_BOUNDS. */
  constructor(connection: Connection, arena: StampArena, { blocks, epochs, remote }: StampRequest) {
    this.#arena = arena
    this.#expected = epochs
    this.#blocks = blocks
    const builder = new PlanBuilder(blocks.length)
    const { places, bytes, runs } = stampRuns(blocks)
    this.#places = places
    this.#slot = arena.take(Math.max(bytes, epochBytes))
    try {
      for (const run of runs) {
        const target = this.#slot.start + run.target
        builder.add(remote.region, run.source, arena.region, target, run.length, 0)
      }
      this.#move = connection.prepare({ direction: "read", plan: builder.finish(), remote: [remote] })
      const view = arena.mapping.view(this.#slot.start, this.#slot.length)
      this.#view = new Int32Array(view.buffer, view.byteOffset, view.byteLength / epochBytes)
    } catch (thrown) {
      arena.give(this.#slot)
      throw thrown
    }
  }

  /** Stamps that one look compares. */
  get count(): number {
    return this.#blocks.length
  }

  /**
   * Reads the stamps now. Returns the position of the first block whose stamp has moved; undefined when none has.
   * @throws KvError as a move does.
   */
  async firstMoved(options: {
    readonly deadline: Deadline
    readonly signal?: AbortSignal
  }): Promise<number | undefined> {
    // What an earlier look left here must not pass for what this one reads.
    for (let i = 0; i < this.#places.length; i++) this.#view[this.#places[i]!] = ~this.#expected[i]!
    await this.#move.post(options)
    for (let i = 0; i < this.#places.length; i++) {
      if (this.#view[this.#places[i]!]! >>> 0 !== this.#expected[i]) return i
    }
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#move[Symbol.asyncDispose]()
    this.#arena.give(this.#slot)
  }
}

/** The runs of stamps to read: all between the first and the last where they are few, else one for each neighbourhood. */
function stampRuns(blocks: Uint32Array): {
  readonly places: Uint32Array
  readonly bytes: number
  readonly runs: { readonly source: number; readonly target: number; length: number }[]
} {
  const order = blocks.map((_, i) => i).sort((a, b) => blocks[a]! - blocks[b]!)
  const places = new Uint32Array(blocks.length)
  const runs: { readonly source: number; readonly target: number; length: number }[] = []
  let bytes = 0
  for (const i of order) {
    const source = blocks[i]! * epochBytes
    const last = runs.at(-1)
    if (last === undefined || source + epochBytes - last.source > runBytesMax) {
      runs.push({ source, target: bytes, length: epochBytes })
      bytes += epochBytes
    } else if (source + epochBytes > last.source + last.length) {
      const longer = source + epochBytes - last.source
      bytes += longer - last.length
      last.length = longer
    }
    const run = runs.at(-1)!
    places[i] = (run.target + source - run.source) / epochBytes
  }
  return { places, bytes, runs }
}
