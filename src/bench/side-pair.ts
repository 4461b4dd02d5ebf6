import type { Contender, Role, RunTimes } from "./contender.ts"
import type { Job, PoolShape } from "./job.ts"
import { fabricOf, type Lane, laneText } from "./sides/lanes.ts"
import type { PageKind } from "./sides/pool.ts"
import { SideHandle } from "./sides/side-handle.ts"
import type { Mover, SideAnswers } from "./sides/side-messages.ts"
import type { Repeats } from "./sides/timed.ts"

/** What two processes are opened with. */
export interface PairOptions {
  readonly pool: PoolShape
  readonly pages: PageKind
  readonly jobs: readonly Job[]
  readonly lanes: readonly Lane[]
  /** The compiled C ceilings. */
  readonly library: string | undefined
  readonly signal: AbortSignal
}

/** A source and a target process with like pools, and every way between them. */
export class SidePair implements AsyncDisposable {
  readonly source: SideHandle
  readonly target: SideHandle
  readonly lanes: readonly Lane[]
  readonly library: string | undefined

  static async open(options: PairOptions): Promise<SidePair> {
    const pair = new SidePair(options)
    try {
      await pair.#open(options)
      return pair
    } catch (thrown) {
      await pair[Symbol.asyncDispose]()
      throw thrown
    }
  }

  private constructor({ signal, lanes, library }: PairOptions) {
    this.source = new SideHandle("source", signal)
    this.target = new SideHandle("target", signal)
    this.lanes = lanes
    this.library = library
  }

  /** Opens a lane to `peers` sessions more; `crowd` runs over it. */
  async reach(lane: Lane, peers: number): Promise<void> {
    await this.target.ask("reach", await this.source.ask("offer", { lane, peers }))
  }

  async places(): Promise<{
    readonly source: SideAnswers["places"]
    readonly target: SideAnswers["places"]
  }> {
    return { source: await this.source.ask("places", {}), target: await this.target.ask("places", {}) }
  }

  /** kvferry over a lane. */
  lane(lane: Lane, hashing: "none" | "sampled" | "full" = "none"): Contender {
    const name = hashing === "none" ? laneText(lane) : `${laneText(lane)}, ${hashing}`
    const ceiling = this.#ceilingOf(lane)
    const mover: Mover = { kind: "lane", lane, hashing }
    return this.contender(name, "kvferry", mover, ceiling === undefined ? {} : { ceiling })
  }

  contender(
    name: string,
    role: Role,
    mover: Mover,
    more: { readonly ceiling?: string; readonly landsAt?: Contender["landsAt"] } = {},
  ): Contender {
    const run = (job: number, times: Repeats, damage: boolean): Promise<RunTimes> =>
      this.#run(job, mover, times, damage)
    return { name, role, landsAt: "target", refills: mover.kind === "own-copy", run, ...more }
  }

  /** Processor time that both have used so far. */
  async cpu(): Promise<{ readonly source: number; readonly target: number }> {
    const [source, target] = await Promise.all([this.source.ask("cpu", {}), this.target.ask("cpu", {})])
    return { source: source.micros, target: target.micros }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.source[Symbol.asyncDispose](), this.target[Symbol.asyncDispose]()])
  }

  async #open({ pool, pages, jobs, lanes, library }: PairOptions): Promise<void> {
    const open = { pool, pages, jobs, library }
    await Promise.all([this.source.ask("open", open), this.target.ask("open", open)])
    for (const lane of lanes) await this.reach(lane, 1)
    const streams = [...new Set(lanes.filter(({ fabric }) => fabric === "tcp").map(({ width }) => width))]
    await this.target.ask("reachCeilings", await this.source.ask("offerCeilings", { streams }))
  }

  #ceilingOf(lane: Lane): string | undefined {
    const { width, fabric } = lane
    if (this.library === undefined) return fabric === "tcp" ? `plain stream × ${width}` : undefined
    return { shm: `memcpy × ${width}`, cma: `process_vm_readv × ${width}`, tcp: `stream × ${width}` }[fabric]
  }

  async #run(job: number, mover: Mover, times: Repeats, damage: boolean): Promise<RunTimes> {
    const before = await this.cpu()
    const { micros, prepareMicros } = await this.target.ask("move", { job, mover, times, damage })
    const after = await this.cpu()
    return {
      micros,
      ...(prepareMicros === undefined ? {} : { prepareMicros }),
      sourceCpuMicros: (after.source - before.source) / times.repeats,
      targetCpuMicros: (after.target - before.target) / times.repeats,
    }
  }
}

/** The ceilings that bound the lanes of a pair, as contenders. `waiting` matters where a side waits for the other. */
export function ceilingsOf(pair: SidePair, waiting: "block" | "spin" | "both"): Contender[] {
  const widths = (fabric: string): number[] => [
    ...new Set(pair.lanes.filter((lane) => lane.fabric === fabric).map(({ width }) => width)),
  ]
  if (pair.library === undefined) {
    const streams = widths("tcp").map((count) =>
      pair.contender(`plain stream × ${count}`, "ceiling", { kind: "plain-stream", streams: count }),
    )
    return [
      pair.contender("FFI memmove, one process", "reference", { kind: "own-copy", by: "memmove" }),
      ...streams,
    ]
  }
  const spins = waiting === "both" ? [false, true] : [waiting === "spin"]
  return [
    ...widths("shm").map((threads) =>
      pair.contender(`memcpy × ${threads}`, "ceiling", { kind: "memcpy", threads }),
    ),
    ...widths("cma").map((threads) =>
      pair.contender(`process_vm_readv × ${threads}`, "ceiling", { kind: "vm-read", threads }),
    ),
    ...widths("tcp").flatMap((streams) =>
      spins.map((spin) =>
        pair.contender(spin ? `stream × ${streams}, spinning` : `stream × ${streams}`, "ceiling", {
          kind: "stream",
          streams,
          spin,
        }),
      ),
    ),
  ]
}

/** A question and an answer through a shared page: what waking the other side costs, there and back. */
export function wakeUps(pair: SidePair, spins: readonly boolean[]): Contender[] {
  if (pair.library === undefined) return []
  return spins.map((spin) =>
    pair.contender(
      spin ? "shared flag, there and back" : "futex, there and back",
      "reference",
      { kind: "wake", spin },
      { landsAt: "nowhere" },
    ),
  )
}

/** Lanes that can be used in place, as contenders that hand blocks over. */
export function attachments(pair: SidePair): Contender[] {
  const lane = pair.lanes.find((candidate) => fabricOf(candidate).attaches)
  if (lane === undefined) return []
  return [
    pair.contender(`${lane.fabric} attach`, "kvferry", { kind: "attach", lane }, { landsAt: "attached" }),
  ]
}
