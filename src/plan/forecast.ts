import { assert } from "../errors/assert.ts"
import { chainMax, signalEvery } from "./chains.ts"
import type { MachineFigures } from "./machine-figures.ts"
import { stripe } from "./stripe.ts"
import { PlanBuilder, type TransferPlan } from "./transfer-plan.ts"

/** A transfer by its sizes alone: pieces of one length, none beside another. */
export interface ForecastJob {
  readonly name: string
  readonly pieces: number
  /** Of one piece. */
  readonly bytes: number
}

/** How the engine works, as far as it changes the counts. */
export interface ForecastKnobs {
  /** Pieces longer than this are cut. */
  readonly sliceBytes: number
  /** Work requests that a lane may have outstanding. */
  readonly queueDepth: number
}

/** What one rail would do. */
export interface RailForecast {
  readonly rail: number
  readonly bytes: number
  /** Pieces of the plan, after those on the border of two shares were cut. */
  readonly pieces: number
  readonly requests: number
  readonly doorbells: number
  readonly completions: number
}

/** One of the things that a transfer cannot be quicker than. */
export interface Limit {
  readonly name: "NIC" | "host memory" | "requests"
  readonly micros: number
  readonly why: string
}

/** What a transfer would take on a machine. Evidence level: model. */
export interface Forecast {
  readonly evidence: "model"
  readonly machine: string
  readonly job: ForecastJob & { readonly allBytes: number }
  readonly rails: readonly RailForecast[]
  /** The slowest first. */
  readonly limits: readonly Limit[]
  /** Latency, and the slowest limit: the others hide behind it. */
  readonly expectedMicros: number
  readonly bytesPerSecond: number
  readonly bound: Limit["name"]
}

/** A plan that stands for a job: no two of its pieces are neighbours on both sides, so none is merged. */
export function planOfJob({ pieces, bytes }: ForecastJob): TransferPlan {
  const builder = new PlanBuilder(pieces)
  for (let i = 0; i < pieces; i++) builder.add(0, 2 * i * bytes, 0, 3 * i * bytes, bytes, 0)
  return builder.finish()
}

/**
 * Says what a transfer would take: the plan is striped as the engine does it, requests, doorbells and completions are
 * counted, and each limit is worked out alone. They overlap, so the slowest one is the answer.
 */
export function forecast(job: ForecastJob, machine: MachineFigures, knobs: ForecastKnobs): Forecast {
  const count = machine.nics.value
  assert(count >= 1 && job.pieces >= 1 && job.bytes >= 1, "a forecast needs a rail and a byte")
  const rails = countRails(stripe(planOfJob(job), count), count, machine.fabric, knobs)
  const allBytes = job.pieces * job.bytes
  const limits = limitsOf(rails, allBytes, machine).sort((a, b) => b.micros - a.micros)
  const expectedMicros = (machine.latencyMicros?.value ?? 0) + limits[0]!.micros
  return {
    evidence: "model",
    machine: machine.name,
    job: { ...job, allBytes },
    rails,
    limits,
    expectedMicros,
    bytesPerSecond: (allBytes / expectedMicros) * 1e6,
    bound: limits[0]!.name,
  }
}

function countRails(
  plan: TransferPlan,
  count: number,
  fabric: MachineFigures["fabric"],
  { sliceBytes, queueDepth }: ForecastKnobs,
): RailForecast[] {
  const sums = Array.from({ length: count }, () => ({ bytes: 0, pieces: 0, requests: 0 }))
  for (let i = 0; i < plan.pieces; i++) {
    const sum = sums[plan.rail[i]!]!
    sum.bytes += plan.length[i]!
    sum.pieces += 1
    sum.requests += Math.ceil(plan.length[i]! / sliceBytes)
  }
  const chain = fabric === "verbs" ? Math.min(chainMax, queueDepth) : 1
  return sums.map((sum, rail) => {
    const whole = Math.floor(sum.requests / chain)
    const rest = sum.requests % chain
    return {
      rail,
      ...sum,
      doorbells: Math.ceil(sum.requests / chain),
      completions: whole * Math.ceil(chain / signalEvery) + Math.ceil(rest / signalEvery),
    }
  })
}

function limitsOf(rails: readonly RailForecast[], allBytes: number, machine: MachineFigures): Limit[] {
  const { bytesPerSecondOfNic: line, hostBytesPerSecond: host, microsOfRequest, microsOfDoorbell } = machine
  const most = Math.max(...rails.map(({ bytes }) => bytes))
  const work = rails.map(
    ({ requests, doorbells }) => requests * microsOfRequest.value + doorbells * microsOfDoorbell.value,
  )
  const busiest = rails[work.indexOf(Math.max(...work))]!
  return [
    {
      name: "NIC",
      micros: (most / line.value) * 1e6,
      why: `${most.toLocaleString("en")} bytes on the fullest of ${rails.length} rails, at ${rounded((line.value * 8) / 1e9)} Gb/s`,
    },
    ...(host === undefined
      ? []
      : [
          {
            name: "host memory" as const,
            micros: (allBytes / host.value) * 1e6,
            why: `${allBytes.toLocaleString("en")} bytes at ${rounded(host.value / 1e9)} GB/s`,
          },
        ]),
    {
      name: "requests",
      micros: Math.max(...work),
      why:
        `${busiest.requests} requests of ${microsOfRequest.value} µs and ${busiest.doorbells} doorbells ` +
        `of ${microsOfDoorbell.value} µs on one rail's thread`,
    },
  ]
}

/** Three digits that count, without zeros at the end. */
const rounded = (value: number): string => value.toLocaleString("en", { maximumSignificantDigits: 3 })
