import type { Progress } from "../terminal/progress.ts"
import type { BenchFindings } from "./bench-report.ts"
import type { Contender } from "./contender.ts"
import { attachCurve, type Curve, peersCurve, runCurves } from "./curves.ts"
import { measureIdle } from "./idle.ts"
import { integrityCosts, integrityLevels } from "./integrity.ts"
import { type Job, jobBlocks, jobBytes, jobPieces, jobPlan } from "./job.ts"
import { type Lineup, type LineupContext, type LineupResult, runLineup } from "./lineup.ts"
import { Others } from "./others.ts"
import type { PeerKind } from "./peers/peer-list.ts"
import { Peers } from "./peers/peers.ts"
import { type PlanCost, planCost } from "./plan-cost.ts"
import { attachingLane, attachLevel, attachments, ceilingsOf, SidePair, wakeUps } from "./side-pair.ts"
import { fabricOf, type Lane } from "./sides/lanes.ts"
import type { PageKind } from "./sides/pool.ts"
import { type BenchJobs, type BenchSizes, benchJobs, peersJob } from "./sizes.ts"
import { spreadOf } from "./statistics.ts"

/** What `--jobs` chooses from. */
export const jobNames = [
  "kv",
  "small",
  "tiny",
  "read",
  "integrity",
  "plan",
  "idle",
  "curves",
  "engine",
] as const
export type JobName = (typeof jobNames)[number]

/** What is measured between processes. */
export interface PhaseOptions {
  readonly sizes: BenchSizes
  readonly quick: boolean
  readonly lanes: readonly Lane[]
  readonly jobs: ReadonlySet<JobName>
  /** A Python with the peers; none without it. */
  readonly python: string | undefined
  readonly families: (family: PeerKind["family"]) => boolean
  /** The compiled ceilings. */
  readonly library: string | undefined
  readonly progress: Progress
  readonly signal: AbortSignal
  /** Breaks a bit of what kvferry brought: the check must notice. For a test. */
  readonly damage: boolean
  /** Told as soon as something is known. */
  readonly found: (part: Partial<BenchFindings>) => void
}

/** Sleep before each read of the idle job: longer than anybody's spin. */
const restMicros = 3000

/** Runs every phase: one for each kind of page that some lane is measured on. */
export async function runPhases(options: PhaseOptions): Promise<void> {
  const kinds: PageKind[] = ["memory files", "4 KiB pages", "2 MiB pages"]
  for (const pages of kinds) {
    const lanes = options.lanes.filter((lane) => fabricOf(lane).pages.includes(pages))
    if (lanes.length > 0) await runPhase(pages, lanes, options)
  }
}

async function runPhase(pages: PageKind, lanes: readonly Lane[], options: PhaseOptions): Promise<void> {
  const { sizes, signal, library, progress, found, damage } = options
  const jobs = benchJobs(sizes)
  progress.update(`filling two pools of ${pages}`)
  await using pair = await SidePair.open({ pool: sizes.pool, pages, jobs: jobs.list, lanes, library, signal })
  const others = new Others()
  others.add(pair.source.pid, pair.target.pid)
  await using peers = await startPeers(pair, pages, jobs, others, options)
  if (pages === "memory files") found({ peers: peers.facts })
  const phase: Phase = { pair, peers, pages, jobs, options }
  await reachAgents(phase)
  const context: LineupContext = { pair, others, progress, signal, damage }
  for (const lineup of lineupsOf(phase)) found({ lineups: [await runLineup(lineup, context)] })
  const levels =
    options.jobs.has("integrity") && (pages === "memory files" || (pages === "4 KiB pages" && !options.quick))
  if (levels) await runIntegrity(phase, context)
  if (pages !== "memory files") return
  if (options.jobs.has("plan")) await runPlans(phase)
  if (options.jobs.has("idle")) {
    progress.update("nothing, for a while")
    found({ idle: await measureIdle(pair, peers, sizes.idleSeconds) })
  }
  if (options.jobs.has("curves")) await runAllCurves(phase)
}

/** Levels of integrity are measured where two threads share the work; on shared memory also with one. */
function integrityLanes({ pair, options }: Phase): Lane[] {
  return pair.lanes.filter(({ fabric, width }) => width === 2 || (fabric === "shm" && !options.quick))
}

/** Blocks of each layer that are attached at once, for the curve. */
function attachCounts({ options: { sizes } }: Phase): number[] {
  const { kvBlocks, pool } = sizes
  return [1, Math.max(1, Math.floor(kvBlocks / 10)), kvBlocks, pool.blocks].filter(
    (n, i, all) => all.indexOf(n) === i,
  )
}

/** Opens the agents of all jobs that are measured with tickets. */
async function reachAgents(phase: Phase): Promise<void> {
  const { pair, pages, jobs, options } = phase
  const { pool } = options.sizes
  const wanted = (...names: readonly JobName[]): boolean => names.some((name) => options.jobs.has(name))
  const sources = (job: number): Uint32Array => jobBlocks(jobs.list[job]!, pool).sources
  const each = (blocks: Uint32Array): Uint32Array[] => Array.from(blocks, (block) => Uint32Array.of(block))
  options.progress.update("opening agents")
  if (wanted("integrity")) {
    for (const lane of integrityLanes(phase)) await pair.reachAgent(lane, jobs.kv, [sources(jobs.kv)])
  }
  const single = pair.lanes.filter(({ width }) => width === 1)
  if (wanted("read")) for (const lane of single) await pair.reachAgent(lane, jobs.read, [sources(jobs.read)])
  if (pages !== "memory files") return
  const lane = attachingLane(pair)
  if (lane !== undefined && wanted("kv")) await pair.reachAgent(lane, jobs.kv, [sources(jobs.kv)])
  if (lane !== undefined && wanted("curves")) {
    const counts = attachCounts(phase).map((count) =>
      Uint32Array.from({ length: count }, (_, block) => block),
    )
    await pair.reachAgent(lane, jobs.attach, counts)
  }
  for (const lane of single) {
    if (wanted("plan")) {
      for (const job of [jobs.kv, jobs.tiny]) await pair.reachAgent(lane, job, [sources(job)])
    }
    if (wanted("curves")) await pair.reachAgent(lane, jobs.tickets, each(sources(jobs.tickets)))
  }
}

interface Phase {
  readonly pair: SidePair
  readonly peers: Peers
  readonly pages: PageKind
  readonly jobs: BenchJobs
  readonly options: PhaseOptions
}

/** The peers take part where the pools are memory files, which they map: the same pages as everybody. */
async function startPeers(
  pair: SidePair,
  pages: PageKind,
  jobs: BenchJobs,
  others: Others,
  { python, families, quick, sizes, progress }: PhaseOptions,
): Promise<Peers> {
  const none = pages !== "memory files"
  const { source, target } = await pair.places()
  const pathsOf = ({ pid, files }: typeof source): string[] => files.map((fd) => `/proc/${pid}/fd/${fd}`)
  const pools = { source: pathsOf(source), target: pathsOf(target) }
  progress.update("starting the peers")
  const plans = jobs.list.slice(0, jobs.crowd).map((job) => jobPlan(job, sizes.pool))
  return Peers.start(
    python,
    (kind) => !none && families(kind.family) && (!quick || kind.quick),
    pools,
    plans,
    others,
  )
}

function lineupsOf({ pair, peers, pages, jobs, options }: Phase): Lineup[] {
  const { sizes } = options
  const { rounds, repeats, secondsPerContender } = sizes
  const lanes = pair.lanes.map((lane) => pair.lane(lane))
  const single = pair.lanes.filter(({ width }) => width === 1).map((lane) => pair.lane(lane))
  const others = peers.contenders()
  const base = { pages, secondsPerContender, pauseMicros: 0 }
  const large = { ...base, rounds: rounds.large, repeats: 1 }
  const small = { ...base, rounds: rounds.small }
  const blocking = ceilingsOf(pair, "block")
  const alone = blocking.filter(({ name }) => !name.endsWith("× 2"))
  const shared = pages === "memory files"
  const ownCopies = shared
    ? [
        pair.contender("FFI memmove, one process", "reference", { kind: "own-copy", by: "memmove" }),
        pair.contender("TypedArray.set, one process", "reference", { kind: "own-copy", by: "set" }),
      ]
    : []
  const inPlace = shared ? attachments(pair) : []
  const readTickets = pair.lanes
    .filter(({ width }) => width === 1)
    .flatMap((lane) => [pair.ticket(lane, "none"), pair.ticket(lane, "epoch")])
  const lineup = (
    id: string,
    index: number,
    more: Omit<Lineup, "id" | "job" | "index" | "contenders" | "pages">,
    contenders: readonly Contender[],
  ): Lineup => ({ id, job: jobs.list[index]!, index, pages, ...more, contenders: distinct(contenders) })
  const all: readonly [JobName, Lineup][] = [
    ["kv", lineup("kv", jobs.kv, large, [...blocking, ...lanes, ...others])],
    ["kv", lineup("attach", jobs.kv, { ...small, repeats: repeats.small }, inPlace)],
    [
      "small",
      lineup("small", jobs.small, { ...small, repeats: repeats.small }, [...alone, ...single, ...others]),
    ],
    ["tiny", lineup("tiny", jobs.tiny, large, [...blocking, ...ownCopies, ...lanes, ...others])],
    [
      "read",
      lineup("read, awake", jobs.read, { ...small, repeats: repeats.read }, [
        ...ceilingsOf(pair, "both").filter(({ name }) => !name.includes("× 2")),
        ...(shared ? wakeUps(pair, [true, false]) : []),
        ...single,
        ...readTickets,
        ...others,
      ]),
    ],
    [
      "read",
      lineup(
        "read, idle",
        jobs.read,
        { ...base, rounds: rounds.idle, repeats: repeats.idle, pauseMicros: restMicros },
        [...alone, ...(shared ? wakeUps(pair, [false]) : []), ...single, ...others],
      ),
    ],
  ]
  // A quick run has time for the one job of private memory that a target is about.
  const some = options.quick && pages !== "memory files" ? all.slice(0, 1) : all
  return some
    .filter(([name, { contenders }]) => options.jobs.has(name) && contenders.length > 0)
    .map(([, entry]) => entry)
}

/** The large job as tickets at each level, in turn. */
async function runIntegrity(phase: Phase, context: LineupContext): Promise<void> {
  const { pair, pages, jobs, options } = phase
  const { sizes, found, progress } = options
  const lanes = integrityLanes(phase)
  const contenders = lanes.flatMap((lane) => integrityLevels.map((level) => pair.ticket(lane, level)))
  const result: LineupResult = await runLineup(
    {
      id: "integrity",
      job: jobs.list[jobs.kv]!,
      index: jobs.kv,
      pages,
      rounds: sizes.rounds.integrity,
      repeats: 1,
      pauseMicros: 0,
      secondsPerContender: sizes.secondsPerContender,
      contenders,
    },
    context,
  )
  progress.update("hashing what was moved")
  const { micros } = await pair.target.ask("hash", { job: jobs.kv, repeats: 5 })
  const bytes = jobBytes(jobs.list[jobs.kv]!)
  const rate = spreadOf(micros.map((time) => (bytes / time) * 1e6))
  const integrity = integrityCosts(result, lanes, rate.median)
  found({ lineups: [result], hashBytesPerSecond: rate, integrity })
}

async function runPlans({ pair, jobs, options }: Phase): Promise<void> {
  const { sizes, found, progress } = options
  const plans: PlanCost[] = []
  for (const index of [jobs.kv, jobs.tiny]) {
    for (const lane of pair.lanes.filter(({ width }) => width === 1)) {
      progress.update("planning and preparing")
      plans.push(await planCost(pair, jobs.list[index]!, index, lane, sizes.planRepeats))
    }
  }
  found({ plans })
}

async function runAllCurves(phase: Phase): Promise<void> {
  const { pair, jobs, options } = phase
  const { sizes, progress, signal, found } = options
  const measured = (index: number): { index: number; pieces: number; pieceBytes: number } => {
    const job: Job = jobs.list[index]!
    return { index, pieces: jobPieces(job), pieceBytes: job.pieceBytes }
  }
  for (const lane of pair.lanes.filter(({ width }) => width === 1)) {
    const curves = await runCurves({
      pair,
      lane,
      blocks: measured(jobs.tiny),
      crowd: measured(jobs.crowd),
      tickets: measured(jobs.tickets),
      repeats: sizes.curveRepeats,
      progress,
      signal,
    })
    found({ curves: [...curves, await runPeersCurve(lane, options)] })
  }
  const lane = attachingLane(pair)
  if (lane === undefined) return
  const curve = await attachCurve({
    pair,
    lane,
    level: attachLevel,
    job: jobs.attach,
    layers: sizes.pool.layers,
    counts: attachCounts(phase),
    repeats: sizes.repeats.small,
  })
  found({ curves: [curve] })
}

/**
 * Over two small pools of its own: each peer maps the whole pool of the other side, and 64 maps of gigabytes measure
 * the page tables of the machine.
 */
async function runPeersCurve(lane: Lane, options: PhaseOptions): Promise<Curve> {
  const { sizes, library, progress, signal } = options
  const job = peersJob(sizes)
  progress.update("filling two small pools")
  const open = {
    pool: sizes.peersPool,
    pages: "memory files",
    jobs: [job],
    lanes: [lane],
    library,
    signal,
  } as const
  await using pair = await SidePair.open(open)
  return await peersCurve({
    pair,
    lane,
    crowd: { index: 0, pieces: jobPieces(job), pieceBytes: job.pieceBytes },
    peersMax: sizes.peersMax,
    repeats: sizes.curveRepeats,
    progress,
    signal,
  })
}

function distinct(contenders: readonly Contender[]): Contender[] {
  return contenders.filter(({ name }, i) => contenders.findIndex((other) => other.name === name) === i)
}
