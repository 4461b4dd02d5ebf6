import { availableParallelism } from "node:os"
import { buildCeilings } from "../../bench/ceilings/build-ceilings.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { CeilingLibrary } from "../../os/ceiling-library.ts"
import { copyBytes } from "../../os/copy.ts"
import { type Contender, type Finished, type RoundOfContender, WrongBytes } from "./contender.ts"
import type { DealtLoad } from "./deal-load.ts"
import type { Arrival, Checked, JudgedMemory } from "./judged-memory.ts"
import { oneHash } from "./moved-bytes.ts"
import { timeOf } from "./round-time.ts"

/** Times of one call at most. */
const repeatsMax = 10_000
const checkedBytesPerRound = 64 * 2 ** 20

/** The memory of one agent for the ceiling: the pages between which an engine moves, where they are here. */
export interface CeilingMemory {
  readonly name: string
  readonly spans: readonly MemorySpan[]
  readonly judged: JudgedMemory
}

/**
 * One process copies the same blocks between the same pages: what no engine that moves them should beat. It has one thread; where
 * several agents post at once, also as many as they are while there are processors for them, and the better one counts.
 */
export class MemcpyCeiling implements Contender {
  readonly name = "memcpy"
  readonly role = "ceiling"
  readonly about: string
  readonly version: string
  readonly logs = []
  readonly #dealt: DealtLoad
  readonly #posters: number
  readonly #memories: ReadonlyMap<number, CeilingMemory>
  readonly #threads: number
  readonly #copy: (repeats: number, threads: number) => number[]
  readonly #changes: boolean
  readonly #owned: Disposable | undefined
  #epoch = 0

  /**
   * @param memories by owner; filled.
   * @param options.changes whether each round has new words at the source.
   * @param options.owned what is given back with it.
   */
  constructor(
    dealt: DealtLoad,
    memories: ReadonlyMap<number, CeilingMemory>,
    { changes, owned }: { readonly changes: boolean; readonly owned?: Disposable | undefined },
  ) {
    this.#dealt = dealt
    this.#posters = new Set(dealt.moves.map(({ poster }) => poster)).size
    this.#memories = memories
    this.#changes = changes
    this.#owned = owned
    const built = buildCeilings()
    this.#threads = built.file === undefined ? 1 : Math.min(this.#posters, availableParallelism())
    const where = "of one process, the same blocks"
    this.about =
      built.file === undefined
        ? `memmove by FFI, one thread ${where}`
        : `memcpy in C, ${this.#threads === 1 ? "one thread" : `one or ${this.#threads} threads`} ${where}`
    this.version = built.file === undefined ? built.why : built.compiler
    this.#copy = built.file === undefined ? this.#copierByFfi() : this.#copierInC(built.file)
  }

  async verify(): Promise<void> {
    this.#refill(0)
    this.#copy(1, 1)
    await this.#look((memory, arrivals) => memory.checkAll(arrivals))
  }

  async round(round: number, millis: number): Promise<RoundOfContender> {
    if (this.#changes) this.#epoch = (round + 1) % 256
    this.#refill((round + 1) % 256)
    // More threads are no faster where something else has the processors: a ceiling is the best of both.
    const threads = new Set([1, this.#threads])
    const tried = [...threads].map((each) => this.#timed(each, millis / threads.size))
    const best = tried.reduce((one, other) => (other.micros < one.micros ? other : one))
    await this.#look(async (memory, arrivals) =>
      memory.checkPieces(arrivals, checkedBytesPerRound, round * 7919),
    )
    return best
  }

  #timed(threads: number, millis: number): RoundOfContender {
    const before = process.cpuUsage()
    const [first] = this.#copy(1, threads) as [number]
    const more = Math.min(repeatsMax, Math.floor((millis * 1000) / Math.max(first, 1)))
    const samples = [first, ...(more > 0 ? this.#copy(more, threads) : [])]
    const { user, system } = process.cpuUsage(before)
    return {
      micros: timeOf(samples, this.#posters),
      samples,
      bytes: this.#dealt.bytes * samples.length,
      cpuMicros: user + system,
    }
  }

  async finish(): Promise<Finished> {
    // An engine shares its memory, and has moved since.
    this.#refill(0)
    this.#copy(1, 1)
    return { hash: oneHash(await this.#look((memory, arrivals) => memory.checkAll(arrivals))) }
  }

  async end(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#owned?.[Symbol.dispose]()
  }

  #refill(poisonEpoch: number): void {
    for (const { source, target, plan } of this.#dealt.moves) {
      const { sourceRegion, sourceOffset, targetRegion, targetOffset, length } = plan
      const from = { region: sourceRegion, offset: sourceOffset, length }
      const into = { region: targetRegion, offset: targetOffset, length }
      if (this.#changes) this.#memory(source).judged.fill(from, this.#epoch, false)
      this.#memory(target).judged.fill(into, poisonEpoch, true)
    }
  }

  async #look(
    check: (memory: JudgedMemory, arrivals: readonly Arrival[]) => Promise<Checked>,
  ): Promise<string[]> {
    const hashes: string[] = []
    for (const { owner, name } of this.#dealt.agents) {
      const arrivals = this.#dealt.moves
        .filter(({ target }) => target === owner)
        .map(({ source, plan }) => ({ owner: source, epoch: this.#epoch, plan }))
      if (arrivals.length === 0) continue
      const { hash, wrong } = await check(this.#memory(owner).judged, arrivals)
      if (wrong !== undefined) throw new WrongBytes(name, wrong)
      hashes.push(hash)
    }
    return hashes
  }

  #copierInC(file: string): (repeats: number, threads: number) => number[] {
    const library = new CeilingLibrary(file)
    const addresses = (side: "source" | "target"): Float64Array =>
      Float64Array.from(
        this.#dealt.moves.flatMap(({ source, target, plan }) => {
          const { spans } = this.#memory(side === "source" ? source : target)
          const regions = side === "source" ? plan.sourceRegion : plan.targetRegion
          const offsets = side === "source" ? plan.sourceOffset : plan.targetOffset
          return Array.from(regions, (region, i) => spans[region]!.addressOf(offsets[i]!, plan.length[i]!))
        }),
      )
    const length = Uint32Array.from(this.#dealt.moves.flatMap(({ plan }) => [...plan.length]))
    const pieces = library.pieces({
      sourceAddress: addresses("source"),
      targetAddress: addresses("target"),
      length,
    })
    return (repeats, threads) => library.copy(pieces, threads, { repeats, pauseMicros: 0 })
  }

  #copierByFfi(): (repeats: number) => number[] {
    return (repeats) =>
      Array.from({ length: repeats }, () => {
        const start = performance.now()
        for (const { source, target, plan } of this.#dealt.moves) {
          const [from, into] = [this.#memory(source).spans, this.#memory(target).spans]
          for (let i = 0; i < plan.pieces; i++) {
            const [a, b] = [from[plan.sourceRegion[i]!]!, into[plan.targetRegion[i]!]!]
            copyBytes(a, plan.sourceOffset[i]!, b, plan.targetOffset[i]!, plan.length[i]!)
          }
        }
        return (performance.now() - start) * 1000
      })
  }

  #memory(owner: number): CeilingMemory {
    const memory = this.#memories.get(owner)
    if (memory === undefined) throw new RangeError(`agent ${owner} has no memory here`)
    return memory
  }
}
