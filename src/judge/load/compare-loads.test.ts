import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import type { LoadDocument, LoadResult } from "../load-document.ts"
import { Random } from "../random.ts"
import { checkComparable, compareLoads, readLoadDocument } from "./compare-loads.ts"

/** Times around `micros`, `spread` of it to either side, always the same ones for a seed. */
function times(micros: number, spread: number, seed: number): number[] {
  const random = new Random(seed)
  return Array.from({ length: 11 }, () => micros * (1 + (spread * (random.below(2001) - 1000)) / 1000))
}

const result = (engine: string, microsByRound: number[], changes: Partial<LoadResult> = {}): LoadResult => ({
  engine,
  about: "",
  version: "1",
  role: engine === "memcpy" ? "ceiling" : "kvferry",
  verdict: "identical",
  microsByRound,
  loggingOn: false,
  ...changes,
})

function documentOf(
  results: readonly LoadResult[],
  shape: Partial<LoadDocument["shape"]> = {},
): LoadDocument {
  return {
    schema: "kvferry/load/1",
    software: "1",
    startedAt: "2026-01-01T00:00:00.000Z",
    tookMillis: 1,
    machine: {
      cpuModel: "one",
      cores: 2,
      caches: "",
      memoryBytes: 1,
      kernel: "6",
      node: "20",
      platform: "linux x64",
      virtual: "",
      hugePages: "",
      sharedMemoryHugePages: "",
    },
    evidence: "hardware",
    shape: {
      op: "read",
      blockBytes: 65_536,
      blocks: 10,
      numBlocks: 100,
      layers: 2,
      randomBlocks: false,
      seed: 42,
      threads: 1,
      batch: 10,
      prefillEngines: 1,
      decodeEngines: 1,
      prefillTp: 1,
      decodeTp: 1,
      strategy: "pack",
      integrity: "epoch",
      bytes: 1_310_720,
      ...shape,
    },
    notes: [],
    rounds: 11,
    interrupted: false,
    loadAverage1MinuteBefore: 0,
    results,
    verdict: "identical",
  }
}

const verdictOf = (before: LoadDocument, now: LoadDocument): string | undefined =>
  compareLoads(before, now).find(({ engine }) => engine === "kvferry")?.verdict

const pair = (kvferry: number[], memcpy = times(50, 0.01, 9)): LoadDocument =>
  documentOf([result("memcpy", memcpy), result("kvferry", kvferry)])

test("the same speed is the same, a tenth more is faster or slower, and noise is told as noise", () => {
  const before = pair(times(100, 0.01, 1))
  assert.equal(verdictOf(before, pair(times(100, 0.01, 2))), "same")
  assert.equal(verdictOf(before, pair(times(90, 0.01, 3))), "faster")
  assert.equal(verdictOf(before, pair(times(111, 0.01, 4))), "slower")
  assert.equal(verdictOf(before, pair(times(100, 0.9, 5))), "too noisy")
})

test("five rounds say nothing, however alike they are", () => {
  const [few, many] = [pair(times(100, 0.01, 1).slice(0, 5)), pair(times(50, 0.01, 2))]
  for (const [before, now] of [
    [few, many],
    [many, few],
  ] as const) {
    const told = compareLoads(before, now).find(({ engine }) => engine === "kvferry")
    assert.equal(told?.verdict, "too noisy")
    assert.match(told.why, /5 rounds|, 5 now/)
  }
})

test("a busier machine slows the ceiling too, and that is no regression", () => {
  const before = pair(times(100, 0.01, 1))
  const [{ why, verdict }] = compareLoads(before, pair(times(200, 0.01, 2), times(100, 0.01, 3))) as [
    ReturnType<typeof compareLoads>[0],
  ]
  assert.equal(verdict, "same")
  assert.match(why, /shares of memcpy/)
  const without = compareLoads(
    documentOf([result("kvferry", times(100, 0.01, 1))]),
    pair(times(200, 0.01, 2)),
  )
  assert.equal(without.find(({ engine }) => engine === "kvferry")?.verdict, "slower")
})

test("what was wrong has no speed to compare, and other versions are named", () => {
  const wrong = documentOf([
    result("memcpy", times(50, 0.01, 9)),
    result("kvferry", [], { verdict: "different" }),
  ])
  assert.match(compareLoads(wrong, pair(times(100, 0.01, 2)))[0]!.why, /no rate then/)
  const newer = documentOf([
    result("memcpy", times(50, 0.01, 9)),
    result("kvferry", times(100, 0.01, 1), { version: "2", loggingOn: true }),
  ])
  assert.match(compareLoads(pair(times(100, 0.01, 2)), newer)[0]!.why, /version 1 then, 2 now.*logging/)
})

test("another load is not compared, and what is no document is refused", () => {
  const before = pair(times(100, 0.01, 1))
  const other = documentOf([result("kvferry", times(100, 0.01, 1))], { blocks: 20 })
  assert.throws(() => compareLoads(before, other), /blocks 10 then, 20 now/)
  assert.throws(() => checkComparable(before, other.shape, ["kvferry"]), /blocks 10 then, 20 now/)
  const none = /none of the engines/
  assert.throws(() => checkComparable(before, before.shape, ["kvferry:tcp"]), none)
  assert.throws(() => checkComparable(before, before.shape, ["memcpy"]), none)
  checkComparable(before, before.shape, ["kvferry:tcp", "kvferry"])
  const folder = mkdtempSync(join(tmpdir(), "kvferry-compare-"))
  try {
    const file = join(folder, "a.json")
    for (const text of ["", "[]", '{"schema":"kvferry/bench/2"}', '{"schema":"kvferry/load/1"}']) {
      writeFileSync(file, text)
      assert.throws(() => readLoadDocument(file), /--compare cannot use/)
    }
    assert.throws(() => readLoadDocument(join(folder, "none")), /ENOENT/)
    writeFileSync(file, '{"schema":"kvferry/verify/1"}')
    assert.throws(() => readLoadDocument(file), /"kvferry\/verify\/1", and wanted is kvferry\/load\/1/)
    assert.throws(() => readLoadDocument("/dev/zero"), /more than 64.0 MiB/)
    writeFileSync(file, JSON.stringify(before))
    assert.equal(readLoadDocument(file).results.length, 2)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
