import type { BenchFindings } from "./bench-report.ts"
import type { Curve } from "./curves.ts"
import type { ContenderResult, LineupResult } from "./lineup.ts"
import { type Spread, speedRatio } from "./statistics.ts"
import type { TargetResult } from "./target-result.ts"

type Measured = { readonly value: Spread } | { readonly why: string }

interface Target {
  readonly what: string
  readonly bound: string
  readonly atLeast?: number
  readonly atMost?: number
  readonly unit?: TargetResult["unit"]
  of(findings: BenchFindings): Measured
}

const tcpPeersBest = ["NIXL LIBFABRIC tcp, polled", "NIXL UCX tcp, polled"]
const tcpPeersDefault = ["NIXL LIBFABRIC tcp", "NIXL UCX tcp"]
const nixl = ["NIXL"]
const nixlBest = ["NIXL, polled", "NIXL"]
const shm = ["shm × 1", "shm × 2"]
const libfabric = ["libfabric × 1", "libfabric × 2"]
const nixlLibfabric = ["NIXL LIBFABRIC tcp, polled", "NIXL LIBFABRIC tcp"]

/** The speed that is promised, always as a ratio to something in the same run. */
const targets: readonly Target[] = [
  faster("KV over shm, 1 thread", "kv", ["shm × 1"], ["memcpy × 1"], 0.9),
  faster("KV over shm, 2 threads", "kv", ["shm × 2"], ["memcpy × 2"], 0.9),
  faster("KV over shm, the better of 1 and 2 threads", "kv", shm, nixl, 3, "NIXL as it comes"),
  faster("KV over shm, the better of 1 and 2 threads", "kv", shm, nixlBest, 1.5, "NIXL at its best"),
  micros("KV over shm, attached with a prepared plan", "attach", ["shm attach, ticket at epoch"], 200),
  faster(
    "KV over cma, 1 thread, 4 KiB pages",
    "kv, 4 KiB pages",
    ["cma × 1"],
    ["process_vm_readv × 1"],
    0.95,
  ),
  faster(
    "KV over cma, 1 thread, 2 MiB pages",
    "kv, 2 MiB pages",
    ["cma × 1"],
    ["process_vm_readv × 1"],
    0.95,
  ),
  faster(
    "KV over cma, 2 threads, 4 KiB pages",
    "kv, 4 KiB pages",
    ["cma × 2"],
    ["process_vm_readv × 2"],
    0.9,
  ),
  faster(
    "KV over cma, 2 threads, 2 MiB pages",
    "kv, 2 MiB pages",
    ["cma × 2"],
    ["process_vm_readv × 2"],
    0.9,
  ),
  faster("KV over tcp, 1 stream", "kv", ["tcp × 1"], ["stream × 1", "plain stream × 1"], 0.95),
  faster("KV over tcp, 2 streams", "kv", ["tcp × 2"], ["stream × 2", "plain stream × 2"], 0.95),
  faster("KV over tcp, 2 streams", "kv", ["tcp × 2"], tcpPeersBest, 1.5, "NIXL's best over tcp"),
  faster("KV over tcp, 2 streams", "kv", ["tcp × 2"], tcpPeersDefault, 3.5, "NIXL over tcp as it comes"),
  faster("KV over tcp, 2 streams", "kv", ["tcp × 2"], ["Mooncake tcp"], 2.5),
  faster("KV over libfabric's tcp", "kv", libfabric, nixlLibfabric, 1, "NIXL's LIBFABRIC at its best"),
  slower(
    "SMALL over libfabric's tcp, p50",
    "small",
    libfabric,
    nixlLibfabric,
    1,
    "NIXL's LIBFABRIC at its best",
  ),
  slower("SMALL over shm, p50", "small", shm, nixl, 1, "NIXL as it comes"),
  slower(
    "4 KiB read over shm, awake, p50",
    "read, awake",
    ["shm × 1"],
    nixlBest,
    1.5,
    "NIXL, both sides spinning",
  ),
  slower("4 KiB read over shm, idle, p50", "read, idle", ["shm × 1"], ["futex, there and back"], 1.5),
  slower(
    "4 KiB read over tcp, awake, p50",
    "read, awake",
    ["tcp × 1"],
    ["stream × 1", "plain stream × 1"],
    1.3,
  ),
  // Ours looks again and again while it is awake: this one waits in the same way.
  slower("4 KiB read over tcp, awake, p50", "read, awake", ["tcp × 1"], ["stream × 1, spinning"], 1.3),
  slower(
    "4 KiB read over tcp, idle, p50",
    "read, idle",
    ["tcp × 1"],
    ["stream × 1", "plain stream × 1"],
    1.3,
  ),
  slower("4 KiB read over tcp, awake, p50", "read, awake", ["tcp × 1"], ["Mooncake tcp"], 1),
  ...["shm × 1", "tcp × 1"].flatMap((name) => [tail(name, "read, awake"), tail(name, "read, idle")]),
  faster("TINY over shm, the better of 1 and 2 threads", "tiny", shm, nixlBest, 3, "NIXL at its best"),
  faster("TINY over shm, 1 thread", "tiny", ["shm × 1"], ["memcpy × 1"], 0.7),
  faster("TINY over shm, 2 threads", "tiny", ["shm × 2"], ["memcpy × 2"], 0.7),
  {
    what: "Integrity full over shm, 2 threads, extra time",
    bound: "to what the rates of copy and hash explain",
    atMost: 1,
    of: ({ integrity }) => {
      const cost = integrity.find(({ lane, level }) => lane === "shm × 2" && level === "full")
      if (cost === undefined) return { why: "shm × 2 was not measured at full" }
      const { median, min, max } = cost.extra
      const by = cost.explained
      return { value: { median: median / by, min: min / by, max: max / by } }
    },
  },
  {
    what: "Integrity epoch over shm, 2 threads, extra time",
    bound: "to the time without",
    atMost: 0.02,
    of: ({ integrity }) => {
      const cost = integrity.find(({ lane, level }) => lane === "shm × 2" && level === "epoch")
      return cost === undefined ? { why: "shm × 2 was not measured at epoch" } : { value: cost.extra }
    },
  },
  {
    what: "Integrity full over shm, 2 threads, extra time",
    bound: "to the time without",
    atMost: 0.35,
    of: ({ integrity }) => {
      const cost = integrity.find(({ lane, level }) => lane === "shm × 2" && level === "full")
      return cost === undefined ? { why: "shm × 2 was not measured at full" } : { value: cost.extra }
    },
  },
  planShare("KV", "kv"),
  planShare("TINY", "tiny"),
  {
    what: "KV over shm, CPU seconds per GB, both sides",
    bound: "to NIXL's best",
    atMost: 1,
    of: (findings) => {
      const kv = lineupOf(findings, "kv")
      const ours = fastest(kv, shm)
      const theirs = [fastest(kv, ["NIXL, polled"]), fastest(kv, nixl)].filter(
        (result) => result !== undefined,
      )
      if (ours === undefined || theirs.length === 0) return missing(kv, ours === undefined ? shm : nixl)
      const value = cpuPerGb(ours) / Math.min(...theirs.map(cpuPerGb))
      return { value: { median: value, min: value, max: value } }
    },
  },
  {
    what: "Idle, either side",
    bound: "cores kept busy",
    atMost: 0.01,
    unit: "cores",
    of: ({ idle }) => {
      const ours = idle.find(({ role }) => role === "kvferry")
      if (ours === undefined) return { why: "the idle job did not run" }
      const [a, b] = [ours.sourceCores, ours.targetCores]
      return { value: { median: Math.max(a, b), min: Math.min(a, b), max: Math.max(a, b) } }
    },
  },
  ...["tickets", "peers", "blocks"].map(linear),
]

export function judgeTargets(findings: BenchFindings): TargetResult[] {
  return targets.map(({ what, bound, atLeast, atMost, unit = "ratio", of }) => {
    const bounds = {
      ...(atLeast === undefined ? {} : { atLeast }),
      ...(atMost === undefined ? {} : { atMost }),
    }
    const measured = of(findings)
    if ("why" in measured) return { what, bound, ...bounds, unit, verdict: "not measured", why: measured.why }
    const { value } = measured
    const reached =
      (atLeast === undefined || value.median >= atLeast) && (atMost === undefined || value.median <= atMost)
    return { what, bound, ...bounds, unit, value, verdict: reached ? "reached" : "not reached" }
  })
}

/** The speed of the fastest of `ours` over the speed of the fastest of `theirs`. */
function faster(
  what: string,
  lineup: string,
  ours: readonly string[],
  theirs: readonly string[],
  atLeast: number,
  them: string = theirs[0]!,
): Target {
  return { what, bound: `speed to ${them}`, atLeast, of: (findings) => ratio(findings, lineup, ours, theirs) }
}

/** The time of the fastest of `ours` over the time of the fastest of `theirs`. */
function slower(
  what: string,
  lineup: string,
  ours: readonly string[],
  theirs: readonly string[],
  atMost: number,
  them: string = theirs[0]!,
): Target {
  return { what, bound: `time to ${them}`, atMost, of: (findings) => ratio(findings, lineup, theirs, ours) }
}

/** How much faster the first of `fast` that is fastest is, against the fastest of `slow`. */
function ratio(
  findings: BenchFindings,
  id: string,
  fast: readonly string[],
  slow: readonly string[],
): Measured {
  const lineup = lineupOf(findings, id)
  const [a, b] = [fastest(lineup, fast), fastest(lineup, slow)]
  if (a === undefined || b === undefined) return missing(lineup, a === undefined ? fast : slow)
  const value = speedRatio(a.microsByRound, b.microsByRound)
  return value === undefined ? { why: "they took part in no round together" } : { value }
}

function micros(what: string, id: string, names: readonly string[], atMost: number): Target {
  return {
    what,
    bound: "p50",
    atMost,
    unit: "µs",
    of: (findings) => {
      const lineup = lineupOf(findings, id)
      const result = fastest(lineup, names)
      return result === undefined ? missing(lineup, names) : { value: result.micros }
    },
  }
}

function tail(name: string, id: string): Target {
  return {
    what: `4 KiB read over ${name.split(" ")[0]}, ${id.split(", ")[1]}, p99`,
    bound: "to its p50",
    atMost: 10,
    of: (findings) => {
      const lineup = lineupOf(findings, id)
      const result = fastest(lineup, [name])
      if (result === undefined) return missing(lineup, [name])
      const value = result.p99Micros / result.micros.median
      return { value: { median: value, min: value, max: value } }
    },
  }
}

function planShare(job: string, id: string): Target {
  return {
    what: `Plan of ${job}, thought once and used often`,
    bound: "to the time of the move over shm (else tcp)",
    atMost: 0.1,
    of: (findings) => {
      const lineup = lineupOf(findings, id)
      for (const name of ["shm × 1", "tcp × 1"]) {
        const moved = fastest(lineup, [name])
        const plan = findings.plans.find((cost) => cost.lane === name && cost.job === lineup?.job)
        if (moved === undefined || plan === undefined) continue
        const share = (key: keyof Spread): number => plan.readMicros[key] / moved.micros.median
        return { value: { median: share("median"), min: share("min"), max: share("max") } }
      }
      return { why: "no lane was both planned and measured" }
    },
  }
}

/**
 * The cost of one among the most, over the cost of one among about a tenth as many. (Among very few, caches and the price
 * of a call decide, and not how the cost grows.)
 */
function linear(unit: string): Target {
  return {
    what: `Cost of one among many ${unit}`,
    bound: "to one among a tenth as many",
    atMost: 1.5,
    of: ({ curves }) => {
      const growth = curves.filter((curve) => curve.unit === unit && curve.points.length > 1).map(growthOf)
      if (growth.length === 0) return { why: "no curve was measured" }
      return { value: { median: Math.max(...growth), min: Math.min(...growth), max: Math.max(...growth) } }
    },
  }
}

function growthOf({ points }: Curve): number {
  const most = points.at(-1)!
  const fewer = points.findLast(({ count }) => count * 8 <= most.count) ?? points[0]!
  return most.microsPerUnitMedian / fewer.microsPerUnitMedian
}

function lineupOf({ lineups }: BenchFindings, id: string): LineupResult | undefined {
  const [job, pages = "memory files"] = id.includes("pages") ? id.split(", ") : [id]
  return lineups.find((lineup) => lineup.id === job && lineup.pages === pages)
}

function fastest(lineup: LineupResult | undefined, names: readonly string[]): ContenderResult | undefined {
  return lineup?.results
    .filter(({ name }) => names.includes(name))
    .sort((a, b) => a.micros.median - b.micros.median)[0]
}

const cpuPerGb = (result: ContenderResult): number =>
  result.sourceCpuSecondsPerGb + result.targetCpuSecondsPerGb

function missing(lineup: LineupResult | undefined, names: readonly string[]): Measured {
  return { why: lineup === undefined ? "this job did not run" : `${names[0]} did not run` }
}
