import assert from "node:assert/strict"
import { test } from "node:test"
import type { BenchFindings } from "./bench-report.ts"
import type { ContenderResult, LineupResult } from "./lineup.ts"
import { machineFacts } from "./machine.ts"
import { spreadOf } from "./statistics.ts"
import { judgeTargets } from "./targets.ts"

function contender(name: string, microsByRound: readonly (number | null)[]): ContenderResult {
  const micros = spreadOf(microsByRound.filter((time) => time !== null))
  return {
    name,
    role: "kvferry",
    microsByRound,
    repeats: 1,
    micros,
    p99Micros: micros.max,
    firstMicros: micros.max,
    bytesPerSecond: micros,
    sourceCpuSecondsPerGb: 0,
    targetCpuSecondsPerGb: 0,
    verdict: "identical",
  }
}

function findings(results: readonly ContenderResult[], id = "kv"): BenchFindings {
  const lineup: LineupResult = {
    id,
    job: "6,400 × 64 KiB",
    pages: "memory files",
    pieces: 6400,
    pieceBytes: 65_536,
    bytes: 6400 * 65_536,
    rounds: 3,
    repeats: 1,
    pauseMicros: 0,
    loadAverage1Minute: 0,
    othersCoresAverage: 0,
    hash: "0",
    results,
    failures: [],
  }
  return {
    machine: machineFacts(),
    ceilings: "",
    notes: [],
    peers: [],
    lineups: [lineup],
    plans: [],
    integrity: [],
    idle: [],
    curves: [],
  }
}

const first = (name: string, found: BenchFindings) =>
  judgeTargets(found).find(({ what, bound }) => `${what}: ${bound}`.startsWith(name))!

test("a target is the median of the rounds' ratios, with their ends, and rounds without a pair do not count", () => {
  const found = findings([contender("tcp × 1", [100, 100, 100]), contender("stream × 1", [96, null, 98])])
  const target = first("KV over tcp, 1 stream", found)
  assert.equal(target.verdict, "reached")
  assert.deepEqual(target.value, { median: 0.97, min: 0.96, max: 0.98 })
})

test("a median below its bound is not reached, however good the best round was", () => {
  const found = findings([contender("tcp × 1", [100, 110, 110]), contender("stream × 1", [100, 100, 100])])
  assert.equal(first("KV over tcp, 1 stream", found).verdict, "not reached")
})

test("a time over its bound is not reached, in microseconds as they are", () => {
  const attached = (times: readonly number[]) =>
    first("KV over shm, attached", findings([contender("shm attach, ticket at epoch", times)], "attach"))
  assert.equal(attached([150, 199, 900]).verdict, "reached")
  const slow = attached([150, 201, 900])
  assert.equal(slow.verdict, "not reached")
  assert.equal(slow.unit, "µs")
})

test("of several ways the fastest is compared with the fastest peer", () => {
  const found = findings([
    contender("shm × 1", [200, 200, 200]),
    contender("shm × 2", [100, 100, 100]),
    contender("NIXL", [500, 500, 500]),
    contender("NIXL, polled", [140, 140, 140]),
  ])
  assert.equal(first("KV over shm, the better of 1 and 2 threads: speed to NIXL as", found).value!.median, 5)
  const best = first("KV over shm, the better of 1 and 2 threads: speed to NIXL at", found)
  assert.equal(best.value!.median, 1.4)
  assert.equal(best.verdict, "not reached")
})

test("what did not run is not measured, and the reason is given", () => {
  const targets = judgeTargets(findings([contender("tcp × 1", [1, 1, 1])]))
  const lone = targets.find(({ what }) => what === "KV over tcp, 1 stream")!
  assert.deepEqual([lone.verdict, lone.why], ["not measured", "stream × 1 did not run"])
  assert.ok(targets.filter(({ verdict }) => verdict === "not measured").every(({ why }) => why !== undefined))
})
