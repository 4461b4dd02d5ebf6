import assert from "node:assert/strict"
import { test } from "node:test"
import { copyBytes } from "../os/copy.ts"
import { hostMemory } from "../os/host-memory.ts"
import { jobPlan, poolLayout } from "./job.ts"
import { firstWrongWord, hashOfPieces, wipeTarget, writePattern } from "./pattern.ts"

const job = { name: "tiny", layers: 2, blocksPerLayer: 3, pieceBytes: 512 }

function filledPool() {
  const layout = poolLayout(job.layers, job.blocksPerLayer)
  const spans = Array.from({ length: job.layers }, (_, i) => hostMemory.map(layout.blocks * 65_536, `t${i}`))
  const plan = jobPlan(job, layout)
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

test("no two pieces of a scattered job are neighbours on either side", () => {
  const plan = jobPlan({ ...job, blocksPerLayer: 64, pieceBytes: 65_536 }, poolLayout(2, 64))
  assert.equal(plan.pieces, 128)
  for (const offsets of [plan.sourceOffset, plan.targetOffset]) {
    const starts = [...offsets.subarray(0, 64)].sort((a, b) => a - b)
    for (let i = 1; i < starts.length; i++) assert.ok(starts[i]! - starts[i - 1]! > 65_536)
  }
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
