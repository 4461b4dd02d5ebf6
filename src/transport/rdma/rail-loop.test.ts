import assert from "node:assert/strict"
import { test } from "node:test"
import { MessageChannel } from "node:worker_threads"
import { CallWatch } from "../../os/call-watch.ts"
import { ControlMemory } from "../../os/control-memory.ts"
import { Doorbell, openDoorbell } from "../../os/doorbell.ts"
import type { RailPort } from "./driver.ts"
import { railCountMemory, readRailCounts } from "./rail-counts.ts"
import { RailLoop } from "./rail-loop.ts"

test("a stop whose ring was heard together with a command's ends the loop: it does not park first", (t) => {
  const doorbell = openDoorbell()
  const memory = new ControlMemory(4096)
  const bell = new Doorbell(doorbell, memory)
  t.after(() => {
    bell.close()
    memory[Symbol.dispose]()
  })
  const stopFlag = new Int32Array(new SharedArrayBuffer(4))
  const counts = railCountMemory()
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  const none = (): void => undefined
  let disposed = false
  const port: RailPort = {
    descriptors: [],
    // Without the second look it would sleep that long, and be found to have parked.
    idleMillisMax: 1000,
    attach: none,
    detach: none,
    room: () => 0,
    post: () => 0,
    probe: none,
    stop: none,
    // Behind the hearing of the command: the one who stops the loop found the bell rung, and rang no more.
    reap: () => {
      Atomics.store(stopFlag, 0, 1)
      return 0
    },
    arm: () => true,
    heard: none,
    [Symbol.dispose]: () => {
      disposed = true
    },
  }
  const loop = new RailLoop(
    port2,
    {
      transport: "paper",
      rail: 0,
      port: undefined,
      doorbell,
      others: [],
      stopFlag: stopFlag.buffer,
      cpu: undefined,
      watch: new CallWatch().buffer,
      counts,
      spinMicros: 0,
      writesAreVisible: true,
      ordered: true,
    },
    port,
  )
  port1.postMessage({ type: "forget", prepared: 1 })
  bell.ring()
  loop.run()
  assert.equal(disposed, true)
  assert.equal(readRailCounts(counts).parks, 0)
})
