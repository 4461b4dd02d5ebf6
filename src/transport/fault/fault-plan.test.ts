import assert from "node:assert/strict"
import { test } from "node:test"
import * as fc from "fast-check"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import { drawn, transportFaultKinds } from "./fault-plan.ts"
import { backwards, partOfPlan, placeInPlan, withoutPiece } from "./part-of-plan.ts"

const plans = fc
  .array(fc.tuple(fc.nat(3), fc.nat(1000), fc.nat(3), fc.nat(1000), fc.integer({ min: 1, max: 50 })), {
    minLength: 1,
    maxLength: 12,
  })
  .map((pieces) => {
    const builder = new PlanBuilder(pieces.length)
    for (const [source, from, target, to, length] of pieces) builder.add(source, from, target, to, length, 0)
    return builder.finish()
  })

/** Every byte of a plan as "from > to", in the order of its pieces. */
function bytesOf(plan: TransferPlan): string[] {
  const list: string[] = []
  for (let i = 0; i < plan.pieces; i++) {
    for (let at = 0; at < plan.length[i]!; at++) {
      const from = `${plan.sourceRegion[i]}:${plan.sourceOffset[i]! + at}`
      list.push(`${from} > ${plan.targetRegion[i]}:${plan.targetOffset[i]! + at}`)
    }
  }
  return list
}

test("a part of a plan has its bytes in their order", () => {
  fc.assert(
    fc.property(plans, fc.nat(), fc.nat(), (plan, a, b) => {
      const [first, end] = [a % (plan.bytes + 1), b % (plan.bytes + 1)].sort((x, y) => x - y) as [
        number,
        number,
      ]
      assert.deepEqual(bytesOf(partOfPlan(plan, first, end)), bytesOf(plan).slice(first, end))
    }),
  )
})

test("a plan that runs backwards has the same bytes, each once", () => {
  fc.assert(
    fc.property(plans, (plan) => {
      assert.deepEqual(bytesOf(backwards(plan)).sort(), bytesOf(plan).sort())
    }),
  )
})

test("a plan without a piece has all others, and a byte's place is where the list has it", () => {
  fc.assert(
    fc.property(plans, fc.nat(), fc.nat(), (plan, a, b) => {
      const piece = a % plan.pieces
      const without = bytesOf(withoutPiece(plan, piece))
      assert.equal(without.length, plan.bytes - plan.length[piece]!)
      const byte = b % plan.bytes
      const place = placeInPlan(plan, byte)
      const before = plan.length.slice(0, place.piece).reduce((sum, length) => sum + length, 0)
      assert.equal(before + place.done, byte)
      assert.ok(place.done < plan.length[place.piece]!)
    }),
  )
})

test("drawn() makes the same faults of the same numbers, and every kind in time", () => {
  const draw = (seed: number): string[] => {
    const plan = drawn(numbersOf(seed), { rate: 0.5, kinds: transportFaultKinds, millisMost: 9 })
    return Array.from({ length: 200 }, (_, number) =>
      JSON.stringify(plan({ number, direction: "read", pieces: 4, bytes: 64 })),
    )
  }
  assert.deepEqual(draw(7), draw(7))
  assert.notDeepEqual(draw(7), draw(8))
  const all = draw(7).join()
  for (const kind of transportFaultKinds) assert.ok(all.includes(`"${kind}"`), kind)
})

test("drawn() finds a fault for an empty plan that can happen to it", () => {
  const plan = drawn(() => 0, { rate: 1, kinds: ["corrupt"], millisMost: 9 })
  assert.equal(plan({ number: 0, direction: "read", pieces: 0, bytes: 0 })?.kind, "delay")
})

/** Numbers from 0 up to, and without, 1 that a seed decides: a linear congruential generator is enough here. */
function numbersOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
