import assert from "node:assert/strict"
import { test } from "node:test"
import { copyBytes } from "../os/copy.ts"
import { hostMemory } from "../os/host-memory.ts"
import { blockBytes, jobPlan } from "./job.ts"
import { firstWrongWord, hashOfPieces, wipeTarget, writePattern } from "./pattern.ts"

const job = { name: "tiny", layers: 2, blocksPerLayer: 3, pieceBytes: 4096 }
const pool = { layers: 2, blocks: 4 }

function filledPool() {
  const spans = Array.from({ length: pool.layers }, (_, i) =>
    hostMemory.map(pool.blocks * blockBytes, `t${i}`),
  )
  const plan = jobPlan(job, pool)
  writePattern(plan, spans)
  wipeTarget(plan, spans)
  const move = (from: number, to: number): void =>
    copyBytes(
      spans[plan.sourceRegion[from]!]!,
      plan.sourceOffset[from]!,
      spans[plan.targetRegion[to]!]!,
      plan.targetOffset[to]!,
      plan.length[from]!,
    )
  return { spans, plan, move }
}

test("a job's pieces are apart on both sides, and no place is a source and a target", () => {
  const plan = jobPlan({ ...job, blocksPerLayer: 20 }, pool)
  assert.equal(plan.pieces, 40)
  assert.equal(plan.bytes, 40 * 4096)
  const places = [...plan.sourceOffset.subarray(0, 20), ...plan.targetOffset.subarray(0, 20)]
  assert.equal(new Set(places).size, 40)
})

test("bytes in their place agree with the pattern and with the source's hash", () => {
  const { spans, plan, move } = filledPool()
  for (let i = 0; i < plan.pieces; i++) move(i, i)
  assert.equal(firstWrongWord(plan, spans, "source"), undefined)
  assert.equal(firstWrongWord(plan, spans, "target"), undefined)
  assert.equal(hashOfPieces(plan, spans, "target"), hashOfPieces(plan, spans, "source"))
})

test("a right block in a wrong place, a missing block and a flipped bit are each noticed", () => {
  const { spans, plan, move } = filledPool()
  for (let i = 0; i < plan.pieces; i++) move(i, i)
  move(1, 2)
  assert.equal(firstWrongWord(plan, spans, "target")?.piece, 2)
  move(2, 2)
  spans[plan.targetRegion[4]!]!.view(plan.targetOffset[4]! + 300, 1)[0]! ^= 0x10
  assert.deepEqual(firstWrongWord(plan, spans, "target")?.byteOffset, plan.targetOffset[4]! + 300)
  assert.notEqual(hashOfPieces(plan, spans, "target"), hashOfPieces(plan, spans, "source"))
  wipeTarget(plan, spans)
  assert.equal(firstWrongWord(plan, spans, "target")?.piece, 0)
})
