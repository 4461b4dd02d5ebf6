import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { wholeModelLayout } from "../kv/kv-layout.ts"
import { PlainMapping } from "../memory/plain-memory.test.kit.ts"
import type { Difference } from "../receipt/receipt.ts"
import { fingerprintBlocks, type StoredSequence } from "../verify/fingerprint.ts"
import { type Hasher, plainHasher } from "../verify/hasher.ts"
import { delivered, FakeClock } from "./in-memory.test.kit.ts"
import {
  checkSameHeads,
  type HashProof,
  needsHashes,
  proveHashes,
  sampledOneIn,
  sampleUnits,
} from "./proof.ts"
import { isKv } from "./scripted.test.kit.ts"

test("a sample holds one unit of each layer, one in sixteen or more, each once, in order, and by lot", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 200 }), fc.nat())
  fc.assert(
    fc.property(sizes, ([layers, positions, seed]) => {
      let state = seed
      const random = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor((state / 2 ** 32) * below)
      }
      const units = [...sampleUnits(layers, positions, random)]
      const all = layers * positions
      assert.equal(units.length, Math.max(layers, Math.ceil(all / sampledOneIn)))
      assert.ok(units.every((unit, i) => unit < all && (i === 0 || unit > units[i - 1]!)))
      assert.equal(new Set(units.map((unit) => Math.floor(unit / positions))).size, layers)
    }),
  )
})

test("a lot that always says the same ends too", () => {
  assert.deepEqual([...sampleUnits(1, 64, () => 5)], [5, 6, 7, 8])
})

test("every unit is drawn sooner or later: none is safe from the sample", () => {
  const [layers, positions] = [3, 40]
  const seen = new Set<number>()
  for (let draws = 0; draws < 2000; draws++) {
    for (const unit of sampleUnits(layers, positions, (below) => Math.floor(Math.random() * below)))
      seen.add(unit)
  }
  assert.equal(seen.size, layers * positions)
})

test("levels compare hashes from `sampled` on", () => {
  assert.deepEqual((["none", "epoch", "sampled", "full"] as const).map(needsHashes), [
    false,
    false,
    true,
    true,
  ])
})

const layout = wholeModelLayout({ layers: 2, kvHeads: 2, headDim: 4, elementBytes: 4 }, { blocks: 8 })

function openProof(changes: Partial<HashProof> = {}) {
  const spans = [0, 1].map((layer) => new PlainMapping(8 * 16 * 2 * 2 * 4 * 4, `layer-${layer}`))
  for (const span of spans) crypto.getRandomValues(span.view(0, span.byteLength))
  const sequence: StoredSequence = { layout, spans, blocks: Uint32Array.of(2, 7, 1), tokens: 40 }
  const abort = new AbortController()
  const run = {
    hashesChecked: 0,
    difference: undefined as Difference | undefined,
    deadline: 2000,
    signal: abort.signal,
  }
  const clock = new FakeClock()
  const proof: HashProof = {
    level: "full",
    sequence,
    unitTokens: 16,
    hasher: plainHasher,
    random: () => 0,
    clock,
    ...changes,
  }
  return { run, proof, abort, clock, sealed: fingerprintBlocks(sequence) }
}

test("right bytes are proven, at each level by as many hashes as it says", async () => {
  for (const [level, checked] of [
    ["full", 6],
    ["sampled", 2],
  ] as const) {
    const { run, proof, sealed } = openProof({ level })
    await proveHashes(run, sealed, proof)
    assert.deepEqual([run.hashesChecked, run.difference], [checked, undefined])
  }
})

test("one hash that differs is a failure that names the place", async () => {
  for (let unit = 0; unit < 6; unit++) {
    const { run, proof, sealed } = openProof({ requestId: "r-9" })
    sealed[unit]! ^= 1n << BigInt(unit * 9)
    await assert.rejects(proveHashes(run, sealed, proof), /layer \d, block \d of request r-9 differs/)
    assert.deepEqual(run.difference, { layer: Math.floor(unit / 3), block: unit % 3 })
  }
})

test("a sample that holds the damaged unit convicts it at its own place", async () => {
  const { run, proof, sealed } = openProof({ level: "sampled", random: () => 1 })
  sealed[4]! ^= 1n
  await assert.rejects(proveHashes(run, sealed, proof), isKv("KV_BYTES_DIFFER"))
  assert.deepEqual(run.difference, { layer: 1, block: 1 })
})

test("too few seals, or too many, prove nothing: that is refused, not called different", async () => {
  for (const level of ["full", "sampled"] as const) {
    for (const count of [0, 1, 5, 7, 600]) {
      const { run, proof } = openProof({ level })
      await assert.rejects(proveHashes(run, new BigUint64Array(count), proof), isKv("KV_PEER_REFUSED"))
      assert.deepEqual([run.hashesChecked, run.difference], [0, undefined])
    }
  }
})

test("hashes that were made while the bytes landed are used, and only the others are made", async () => {
  const asked: number[] = []
  const hasher: Hasher = {
    hash(sequence, unitTokens, units) {
      asked.push(...(units ?? []))
      return plainHasher.hash(sequence, unitTokens, units)
    },
  }
  const { run, proof, sealed } = openProof({ hasher })
  const made = new Map([0, 1, 3, 4].map((unit) => [unit, sealed[unit]!]))
  await proveHashes(run, sealed, { ...proof, made })
  assert.deepEqual(asked, [2, 5])
  assert.equal(run.hashesChecked, 6)
  made.set(3, 0n)
  await assert.rejects(proveHashes(run, sealed, { ...proof, made }), isKv("KV_BYTES_DIFFER"))
  assert.deepEqual(run.difference, { layer: 1, block: 0 })
})

test("a hasher that never ends does not keep a transfer beyond its deadline, or its cancel", async () => {
  const stuck: Hasher = { hash: () => new Promise(() => {}) }
  const late = openProof({ hasher: stuck })
  const expired = assert.rejects(proveHashes(late.run, late.sealed, late.proof), isKv("KV_DEADLINE"))
  await delivered()
  late.clock.advance(1000)
  await expired
  const stopped = openProof({ hasher: stuck })
  const cancelled = assert.rejects(
    proveHashes(stopped.run, stopped.sealed, stopped.proof),
    isKv("KV_CANCELLED"),
  )
  stopped.abort.abort()
  await cancelled
})

test("seals over other heads are refused before anything moves", () => {
  const half = { ...layout, heads: 1 }
  checkSameHeads(layout, layout, "full")
  for (const [source, target] of [
    [half, layout],
    [layout, half],
    [layout, { ...layout, firstHead: 1 }],
  ] as const) {
    assert.throws(() => checkSameHeads(source, target, "full"), isKv("KV_PEER_REFUSED"))
  }
})
