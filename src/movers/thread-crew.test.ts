import assert from "node:assert/strict"
import { after, test } from "node:test"
import { xxh64 } from "@node-rs/xxhash"
import fc from "fast-check"
import { wholeModelLayout } from "../kv/kv-layout.ts"
import { KvPool } from "../memory/kv-pool.ts"
import { hostMemory } from "../os/host-memory.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import type { CopyRuns } from "./crew.ts"
import { postedJobsMax } from "./job-ring.ts"
import { CopyRig, type Run, scattered, soon } from "./runs.test.kit.ts"
import { openCrew } from "./thread-crew.ts"

const mib = 2 ** 20
const crew = await openCrew({ threads: 2 })
/** The same, and nothing is done by the calling thread. */
const threadsOnly = await openCrew({ threads: 2, inlineBytesMax: 0 })
after(async () => {
  await crew[Symbol.asyncDispose]()
  await threadsOnly[Symbol.asyncDispose]()
})

const shapes: Record<string, Run[]> = {
  "one byte": [[7, 9, 1]],
  "odd places": [
    [1, 5, 4097],
    [9 * mib + 3, 2 * mib + 1, 9 * mib + 1],
  ],
  "many small ones": scattered(6400, 128),
  "runs that follow each other": Array.from({ length: 300 }, (_, i): Run => [i * 4096, i * 4096, 4096]),
  "runs that follow each other on one side": Array.from(
    { length: 300 },
    (_, i): Run => [i * 4096, i * 8192, 4096],
  ),
  "long ones beside short ones": [
    [0, 0, 5 * mib],
    [6 * mib, 6 * mib, 3],
    [8 * mib, 8 * mib, mib],
    [12 * mib, 12 * mib, mib + 1],
  ],
}

for (const [who, workers, known] of [
  ["small copies on the calling thread", crew, false],
  ["all copies on the threads", threadsOnly, false],
  ["all copies on the threads, through views", threadsOnly, true],
] as const) {
  for (const [name, runs] of Object.entries(shapes)) {
    test(`${who}: ${name}: all bytes arrive, and none beside them`, async () => {
      using rig = new CopyRig(24 * mib)
      const spans = known ? { spans: [rig.source, rig.target] } : {}
      await using job = workers.prepareCopy({ ...rig.runs(runs), ...spans })
      for (let post = 0; post < 2; post++) {
        rig.poison()
        const done = await job.post({ deadline: soon() })
        rig.assertCopied(runs)
        const bytes = runs.reduce((sum, [, , length]) => sum + length, 0)
        assert.equal(
          done.bytesByThread.reduce((sum, part) => sum + part, 0),
          bytes,
        )
        assert.equal(done.bytesByThread.length, 3)
        if (workers === threadsOnly) assert.equal(done.bytesByThread[0], 0)
      }
    })
  }
}

test("an empty copy is done at once", async () => {
  using rig = new CopyRig(mib)
  await using job = threadsOnly.prepareCopy(rig.runs([]))
  const done = await job.post({ deadline: soon() })
  assert.deepEqual([done.bytesByThread, done.hashes.length], [[0, 0, 0], 0])
})

/** Runs with units in them: lengths of runs, and of the units and gaps inside each. */
const withUnits = fc.array(
  fc.record({
    length: fc.integer({ min: 1, max: 3 * mib }),
    gap: fc.nat({ max: 70_000 }),
    unit: fc.integer({ min: 1, max: 2 * mib }),
  }),
  { maxLength: 5 },
)

test("each unit is hashed with its seed, wherever it lies in its run and however long it is", async () => {
  using rig = new CopyRig(16 * mib)
  await fc.assert(
    fc.asyncProperty(withUnits, async (parts) => {
      const runs: Run[] = []
      const units: { run: number; offset: number; length: number }[] = []
      let at = 0
      for (const [run, { length, gap, unit }] of parts.entries()) {
        runs.push([at, at + 1, length])
        for (let from = gap; from + unit <= length; from += unit + gap) {
          units.push({ run, offset: at + 1 + from, length: unit })
        }
        at += length + 3
      }
      const hashes = {
        count: units.length,
        run: Uint32Array.from(units, ({ run }) => run),
        span: new Uint32Array(units.length).fill(1),
        offset: Float64Array.from(units, ({ offset }) => offset),
        length: Uint32Array.from(units, ({ length }) => length),
        seed: BigUint64Array.from(units, (_, i) => BigInt(i) << 32n),
      }
      rig.poison()
      const copy: CopyRuns = { ...rig.runs(runs), spans: [rig.source, rig.target], hashes }
      await using job = threadsOnly.prepareCopy(copy)
      const done = await job.post({ deadline: soon() })
      rig.assertCopied(runs)
      const expected = units.map(({ offset, length }, i) =>
        xxh64(rig.target.view(offset, length), BigInt(i) << 32n),
      )
      assert.deepEqual([...done.hashes], expected)
    }),
    { numRuns: 40 },
  )
})

test("1,000 copies at one time each end with their own bytes", async () => {
  using rig = new CopyRig(64 * mib)
  const runs = scattered(1000, 32 * 1024)
  const jobs = runs.map((run) => threadsOnly.prepareCopy(rig.runs([run])))
  await Promise.all(jobs.map((job) => job.post({ deadline: soon() })))
  rig.assertCopied(runs)
  await Promise.all(jobs.map((job) => job[Symbol.asyncDispose]()))
})

test("a copy that is posted while it is under way is a mistake, and the first post is unharmed", async () => {
  using rig = new CopyRig(16 * mib)
  const runs: Run[] = [[0, 0, 16 * mib]]
  await using job = threadsOnly.prepareCopy(rig.runs(runs))
  const first = job.post({ deadline: soon() })
  await assert.rejects(job.post({ deadline: soon() }), { code: "KV_USAGE" })
  await first
  rig.assertCopied(runs)
})

test("a busy main thread does not stall a copy", async () => {
  using rig = new CopyRig(24 * mib)
  await using job = crew.prepareCopy(rig.runs([[0, 0, 24 * mib]]))
  const last = 24 * mib - 1
  const [from, to] = [rig.source.view(last, 1), rig.target.view(last, 1)]
  assert.notEqual(to[0], from[0])
  const posted = job.post({ deadline: soon() })
  const end = performance.now() + 5000
  while (to[0] !== from[0] && performance.now() < end);
  assert.equal(to[0], from[0], "the last byte came while the main thread was in a loop")
  await posted
})

test("hashes made by the threads are those made here, in either order, in any units, all or some", async () => {
  const orders = fc.constantFrom("head-major" as const, "token-major" as const)
  await fc.assert(
    fc.asyncProperty(
      orders,
      fc.integer({ min: 1, max: 200 }),
      fc.constantFrom(8, 16),
      async (order, tokens, unitTokens) => {
        const shape = { layers: 3, kvHeads: 4, headDim: 64, elementBytes: 4 }
        const layout = wholeModelLayout(shape, { blocks: 20, blockTokens: 16, order })
        using pool = new KvPool(layout, hostMemory)
        for (const [layer, span] of pool.spans.entries()) {
          span.view(0, span.byteLength).forEach((_, i, bytes) => {
            bytes[i] = (i * 31 + layer * 7) % 251
          })
        }
        const blocks = Uint32Array.from({ length: Math.ceil(tokens / 16) }, (_, i) => (i * 7 + 3) % 20)
        const sequence = { layout, spans: pool.spans, blocks, tokens }
        const all = fingerprintBlocks(sequence, unitTokens)
        assert.deepEqual(await threadsOnly.hash(sequence, unitTokens), all)
        const some = Uint32Array.from(all.keys()).filter((i) => i % 3 === 1)
        const chosen = some.length === 0 ? new BigUint64Array(0) : BigUint64Array.from(some, (i) => all[i]!)
        assert.deepEqual(await threadsOnly.hash(sequence, unitTokens, some), chosen)
        assert.deepEqual(await crew.hash(sequence, unitTokens), all)
      },
    ),
    { numRuns: 20 },
  )
})

test("more copies than the ring holds are refused, and the others are unharmed", async () => {
  using rig = new CopyRig(mib)
  await using large = await openCrew({ threads: 1, inlineBytesMax: 0 })
  const jobs = Array.from({ length: postedJobsMax + 1 }, () => large.prepareCopy(rig.runs([[0, 0, 8]])))
  const posted = await Promise.allSettled(jobs.map((job) => job.post({ deadline: soon() })))
  const refused = posted.filter((result) => result.status === "rejected")
  assert.equal(refused.length, 1)
  assert.equal((refused[0]!.reason as { code: string }).code, "KV_LIMIT")
  rig.assertCopied([[0, 0, 8]])
  await Promise.all(jobs.map((job) => job[Symbol.asyncDispose]()))
})
