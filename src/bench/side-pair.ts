import type { IntegrityLevel } from "../receipt/receipt.ts"
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
  readonly #agents = new Set<string>()

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

  /** Opens agents for a lane and a job, once; `sequences` are lent, and claimed by the target. */
  async reachAgent(lane: Lane, job: number, sequences: readonly Uint32Array[]): Promise<void> {
    const key = `${laneText(lane)} ${job}`
    if (this.#agents.has(key)) return
    this.#agents.add(key)
    await this.target.ask("reachAgent", await this.source.ask("offerAgent", { lane, job, sequences }))
  }

  /** kvferry's fabric of a lane, alone. */
  lane(lane: Lane): Contender {
    const ceiling = this.#ceilingOf(lane)
    const mover: Mover = { kind: "lane", lane }
    return this.contender(laneText(lane), "kvferry", mover, ceiling === undefined ? {} : { ceiling })
  }

  /** kvferry as an application uses it: a prepared read under a lease, posted as a ticket. `reachAgent` comes first. */
  ticket(lane: Lane, level: IntegrityLevel): Contender {
    return this.contender(ticketName(lane, level), "kvferry", { kind: "ticket", lane, level })
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
    const streams = [...new Set(lanes.filter(overTcp).map(({ width }) => width))]
    await this.target.ask("reachCeilings", await this.source.ask("offerCeilings", { streams }))
  }

  #ceilingOf(lane: Lane): string | undefined {
    const { width, fabric } = lane
    if (this.library === undefined) return overTcp(lane) ? `plain stream × ${width}` : undefined
    if (overTcp(lane)) return `stream × ${width}`
    return fabric === "shm" ? `memcpy × ${width}` : `process_vm_readv × ${width}`
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

/** The level at which blocks are used in place here. */
export const attachLevel: IntegrityLevel = "epoch"

/** The lane whose blocks can be used in place: the narrowest, because nothing is copied. */
export function attachingLane(pair: SidePair): Lane | undefined {
  return pair.lanes.find((candidate) => fabricOf(candidate).attaches)
}

/** Using the source's blocks in place: a ticket from attach to release; and a reader that finds the blocks by itself. */
export function attachments(pair: SidePair): Contender[] {
  const lane = attachingLane(pair)
  if (lane === undefined) return []
  const { fabric } = lane
  const landsAt = "attached"
  return [
    pair.contender(
      `${fabric} attach, ticket at ${attachLevel}`,
      "kvferry",
      { kind: "attach", lane, level: attachLevel },
      { landsAt },
    ),
    pair.contender(
      `${fabric} attached, address of each`,
      "reference",
      { kind: "addresses", lane },
      { landsAt },
    ),
  ]
}

/** What a ticket is called in tables. */
export const ticketName = (lane: Lane, level: IntegrityLevel): string =>
  `${laneText(lane)}, ticket at ${level}`

/** Its bytes go through sockets, whoever holds them. */
const overTcp = ({ fabric }: Lane): boolean => fabric === "tcp" || fabric === "libfabric"
