import assert from "node:assert/strict"
import { test } from "node:test"
import { SpinPermit, spinnersMax } from "./spin-permit.ts"

test("a permit lasts for its budget after each renewal, and not before the first", () => {
  const permit = new SpinPermit(new SharedArrayBuffer(4), 50)
  assert.equal(permit.lasts(1000), false)
  permit.renew(1000)
  assert.equal(permit.lasts(1000.049), spinnersMax > 0)
  assert.equal(permit.lasts(1000.051), false)
  permit.renew(1001)
  assert.equal(permit.lasts(1001), spinnersMax > 0)
  permit.giveBack()
})

test("one core stays free: no more threads spin than there are cores less one, and a place that is given back is taken", () => {
  const shared = new SharedArrayBuffer(4)
  const permits = Array.from({ length: spinnersMax + 2 }, () => new SpinPermit(shared, 50))
  for (const permit of permits) permit.renew(0)
  const spinning = permits.filter((permit) => permit.lasts(0))
  assert.equal(spinning.length, spinnersMax)
  assert.equal(new Int32Array(shared)[0], spinnersMax)
  for (const permit of permits) permit.lasts(1)
  assert.equal(new Int32Array(shared)[0], 0)
})

test("a budget of 0 is never wanted and never lasts", () => {
  const permit = new SpinPermit(new SharedArrayBuffer(4), 0)
  permit.renew(5)
  assert.equal(permit.wanted, false)
  assert.equal(permit.lasts(5), false)
})
