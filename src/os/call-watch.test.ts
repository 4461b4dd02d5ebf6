import assert from "node:assert/strict"
import { test } from "node:test"
import { CallWatch } from "./call-watch.ts"

test("a watch sees a call that does not return, and none that did", () => {
  const inside = new CallWatch()
  const outside = new CallWatch(inside.buffer)
  const quick = inside.watched(3, () => 0)
  const seen: (number | undefined)[] = []
  const slow = inside.watched(5, () => {
    for (const now of [100, 350, 600]) seen.push(outside.look(now)?.millis)
    assert.equal(outside.look(700)?.index, 5)
    return 9
  })
  assert.equal(outside.look(0), undefined)
  quick()
  assert.equal(slow(), 9)
  assert.deepEqual(seen, [undefined, 250, 500])
  assert.equal(outside.look(1000), undefined)
  const thrown = inside.watched(1, () => {
    throw new Error("no")
  })
  assert.throws(() => thrown())
  assert.equal(outside.look(2000), undefined)
  assert.equal(outside.look(3000), undefined)
})

test("a call within a call counts by itself, and the outer one again after it", () => {
  const inside = new CallWatch()
  const outside = new CallWatch(inside.buffer)
  const look = (now: number): unknown => outside.look(now)
  inside.inside(1, () => {
    look(0)
    assert.deepEqual(look(500), { index: 1, millis: 500 })
    inside.inside(2, () => {
      assert.equal(look(600), undefined, "something has moved")
      assert.deepEqual(look(900), { index: 2, millis: 300 })
    })
    assert.equal(look(1000), undefined)
    assert.deepEqual(look(1100), { index: 1, millis: 100 })
  })
  assert.equal(look(1200), undefined)
  assert.equal(look(9000), undefined, "outside, however long")
})

test("a look that comes late counts as one: a process that was stopped has not waited", () => {
  const inside = new CallWatch()
  const outside = new CallWatch(inside.buffer)
  inside.inside(0, () => {
    outside.look(0)
    assert.equal(outside.look(3_600_000)?.millis, 1000)
    assert.equal(outside.look(3_600_250)?.millis, 1250)
  })
})

test("whoever waits for the end of a thread hears of it, or does not wait longer than asked", () => {
  const inside = new CallWatch()
  const outside = new CallWatch(inside.buffer)
  const began = performance.now()
  assert.equal(outside.awaitEnd(100), false)
  assert.ok(performance.now() - began < 1000)
  assert.equal(outside.awaitEnd(-5), false)
  inside.end()
  assert.equal(outside.awaitEnd(0), true)
  assert.equal(inside.abandoned, false)
  outside.abandon()
  assert.equal(inside.abandoned, true)
})
