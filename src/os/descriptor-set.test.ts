import assert from "node:assert/strict"
import { test } from "node:test"
import { ControlMemory } from "./control-memory.ts"
import { DescriptorSet } from "./descriptor-set.ts"
import { interest, Poller } from "./poller.ts"
import { openWakeUp, WakeUp } from "./wake-up.ts"

test("a set is readable while any member is, and no longer when that has been heard or taken out", () => {
  using memory = new ControlMemory(8192)
  const [one, other] = [new WakeUp(openWakeUp(), memory), new WakeUp(openWakeUp(), memory)]
  const poller = new Poller(memory, 1)
  const set = new DescriptorSet()
  const readable = (): boolean => {
    poller.clear()
    const place = poller.watch(set.descriptor, interest.read)
    poller.wait(0)
    return poller.ready(place) !== 0
  }
  set.add(one.fd)
  set.add(other.fd)
  assert.equal(readable(), false)
  other.ring()
  assert.equal(readable(), true)
  assert.equal(readable(), true)
  other.hear()
  assert.equal(readable(), false)
  one.ring()
  set.remove(one.fd)
  set.remove(one.fd)
  assert.equal(readable(), false)
  set.close()
  one.close()
  other.close()
})

test("what cannot be waited on is an error that names it", () => {
  const set = new DescriptorSet()
  assert.throws(() => set.add(1_000_000), /1000000/)
  set.close()
})
