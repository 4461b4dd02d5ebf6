import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { linearAxis, logAxis, tightLogAxis } from "./axis.ts"

const positive = fc.double({ min: 1e-6, max: 1e12, noNaN: true })

test("every value stands between the ends of its axis, in its order", () => {
  fc.assert(
    fc.property(fc.array(positive, { minLength: 1, maxLength: 20 }), (values) => {
      const axes = [
        logAxis(values, 10, 90),
        tightLogAxis(values, 10, 90),
        linearAxis(Math.max(...values), 10, 90),
      ]
      for (const { at, ticks } of axes) {
        const places = [...values].sort((a, b) => a - b).map(at)
        assert.ok(
          places.every((place, i) => place > 9.999 && place < 90.001 && (i === 0 || place >= places[i - 1]!)),
        )
        assert.ok(ticks.length >= 2 && ticks.length <= 24)
        assert.ok(Math.abs(at(ticks[0]!) - 10) < 1e-6 && Math.abs(at(ticks.at(-1)!) - 90) < 1e-6)
      }
    }),
  )
})

test("a tight axis ends at the next round steps", () => {
  assert.deepEqual(tightLogAxis([120, 900], 0, 1).ticks, [100, 200, 500, 1000])
  assert.deepEqual(tightLogAxis([1], 0, 1).ticks, [1, 2])
  assert.deepEqual(linearAxis(19.2, 0, 1).ticks, [0, 5, 10, 15, 20])
})
