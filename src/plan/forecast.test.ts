import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type ForecastJob, forecast, planOfJob } from "./forecast.ts"
import { jobOfLayout, namedJobs } from "./forecast-jobs.ts"
import { type MachineFigures, machineFigures } from "./machine-figures.ts"

const knobs = { sliceBytes: 1_048_576, queueDepth: 256 }
const machineOf = (name: string): MachineFigures => machineFigures.find((machine) => machine.name === name)!
const kv = jobOfLayout("kv", namedJobs["kv"]!)
const close = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) <= 1e-9 * Math.abs(expected), `${actual} is not ${expected}`)

/** A machine of round numbers: 4 NICs of 1 GB/s, 2 µs a request, 1 µs a doorbell. */
const plain = (over: Partial<MachineFigures> = {}): MachineFigures => ({
  name: "plain",
  fabric: "verbs",
  nics: { value: 4, source: "" },
  bytesPerSecondOfNic: { value: 1e9, source: "" },
  microsOfRequest: { value: 2, source: "" },
  microsOfDoorbell: { value: 1, source: "" },
  ...over,
})

test("the KV job on p5.48xlarge, by hand", () => {
  // 6,400 pieces of 64 KiB over 32 rails: 200 pieces and 13,107,200 bytes each; 100 Gb/s are 12.5 GB/s.
  const { rails, limits, bound, expectedMicros, job } = forecast(kv, machineOf("p5.48xlarge"), knobs)
  assert.equal(job.allBytes, 419_430_400)
  assert.equal(rails.length, 32)
  for (const rail of rails) {
    const { bytes, pieces, requests, doorbells, completions } = rail
    // libfabric: every request is posted alone and completes alone.
    assert.deepEqual(
      { bytes, pieces, requests, doorbells, completions },
      { bytes: 13_107_200, pieces: 200, requests: 200, doorbells: 200, completions: 200 },
    )
  }
  const micros = Object.fromEntries(limits.map(({ name, micros: time }) => [name, time]))
  close(micros["NIC"]!, 1048.576) // 13,107,200 / 12.5e9
  close(micros["host memory"]!, 419_430_400 / 63e3) // 6,657.6 µs at 63 GB/s
  close(micros["requests"]!, 300) // 200 × (1 + 0.5)
  assert.equal(bound, "host memory")
  close(expectedMicros, 419_430_400 / 63e3)
})

test("the KV job on eight ConnectX-7, by hand: chains of 128 behind a doorbell, one completion for 32", () => {
  const { rails, limits, bound } = forecast(kv, machineOf("cx7-8x400"), knobs)
  for (const { requests, doorbells, completions, bytes } of rails) {
    // 800 = 6 chains of 128, with 4 completions each, and one of 32, with 1.
    assert.deepEqual([requests, doorbells, completions, bytes], [800, 7, 25, 52_428_800])
  }
  close(limits[0]!.micros, 1048.576) // 52,428,800 / 50e9
  close(limits[1]!.micros, 803.5) // 800 × 1 + 7 × 0.5
  assert.deepEqual([bound, limits.length], ["NIC", 2])
})

test("a machine of round numbers: long pieces are cut, and requests bound small ones", () => {
  const long = forecast({ name: "long", pieces: 4, bytes: 10_485_760 }, plain(), knobs)
  for (const { requests, doorbells, completions } of long.rails) {
    assert.deepEqual([requests, doorbells, completions], [10, 1, 1])
  }
  close(long.expectedMicros, 10_485.76)
  assert.equal(long.bound, "NIC")
  const short = forecast({ name: "short", pieces: 4000, bytes: 256 }, plain(), knobs)
  // Shares end at multiples of 4 KiB: three rails take 258,048 bytes (1,008 pieces), the last takes the rest.
  assert.deepEqual(
    short.rails.map(({ pieces }) => pieces),
    [1008, 1008, 1008, 976],
  )
  close(short.expectedMicros, 1008 * 2 + 8 * 1)
  assert.equal(short.bound, "requests")
})

test("a short queue makes short chains", () => {
  const [rail] = forecast({ name: "", pieces: 400, bytes: 65_536 }, plain(), {
    ...knobs,
    queueDepth: 16,
  }).rails
  assert.deepEqual([rail!.requests, rail!.doorbells, rail!.completions], [100, 7, 7])
})

test("latency is there before the first byte", () => {
  const slow = plain({ latencyMicros: { value: 50, source: "" } })
  const job = { name: "", pieces: 4, bytes: 4096 }
  close(forecast(job, slow, knobs).expectedMicros, forecast(job, plain(), knobs).expectedMicros + 50)
})

const jobs = fc.record({
  name: fc.constant(""),
  pieces: fc.integer({ min: 1, max: 500 }),
  bytes: fc.integer({ min: 1, max: 4_194_304 }),
})
const machines = fc.constantFrom(...machineFigures, plain())

test("every byte is on one rail, and a rail's chains and completions fit its requests", () => {
  fc.assert(
    fc.property(jobs, machines, (job, machine) => {
      const { rails } = forecast(job, machine, knobs)
      assert.equal(
        rails.reduce((sum, { bytes }) => sum + bytes, 0),
        job.pieces * job.bytes,
      )
      for (const { requests, pieces, doorbells, completions } of rails) {
        assert.ok(requests >= pieces && doorbells <= requests && completions <= requests)
        assert.ok(completions >= doorbells && completions * 32 >= requests)
      }
    }),
  )
})

test("more bytes or more pieces never need less of the NICs and of host memory; a quicker machine never takes longer", () => {
  // Requests are left out: where fewer than a page moves, more bytes may spread over more rails.
  const ofBytes = (job: ForecastJob, machine: MachineFigures): number[] =>
    (["NIC", "host memory"] as const).map(
      (name) => forecast(job, machine, knobs).limits.find((limit) => limit.name === name)?.micros ?? 0,
    )
  fc.assert(
    fc.property(jobs, machines, (job, machine) => {
      const before = ofBytes(job, machine)
      for (const bigger of [
        { ...job, pieces: job.pieces + 7 },
        { ...job, bytes: job.bytes + 4096 },
      ]) {
        ofBytes(bigger, machine).forEach((micros, i) => {
          assert.ok(micros >= before[i]! - 1e-9)
        })
      }
      const { bytesPerSecondOfNic: line } = machine
      const quicker = { ...machine, bytesPerSecondOfNic: { ...line, value: line.value * 2 } }
      const after = forecast(job, quicker, knobs).expectedMicros
      assert.ok(after <= forecast(job, machine, knobs).expectedMicros + 1e-9)
    }),
  )
})

test("twice the blocks take twice the time, where shares are whole blocks", () => {
  fc.assert(
    fc.property(machines, fc.integer({ min: 1, max: 20 }), (machine, times) => {
      const { latencyMicros } = machine
      const base = { name: "", pieces: 4096, bytes: 65_536 }
      const plainTime = (job: ForecastJob): number =>
        forecast(job, machine, knobs).expectedMicros - (latencyMicros?.value ?? 0)
      close(plainTime({ ...base, pieces: 4096 * times }), plainTime(base) * times)
    }),
    { numRuns: 20 },
  )
})

test("a job's plan has its pieces, none of them merged", () => {
  const { pieces, bytes } = planOfJob(kv)
  assert.deepEqual([pieces, bytes], [6400, 419_430_400])
})

test("every figure says where it is from", () => {
  for (const { name, ...figures } of machineFigures) {
    for (const figure of Object.values(figures)) {
      if (typeof figure === "object") assert.ok(figure.value >= 0 && figure.source.length > 10, name)
    }
  }
  assert.equal(new Set(machineFigures.map(({ name }) => name)).size, machineFigures.length)
})
