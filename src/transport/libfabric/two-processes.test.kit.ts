import assert from "node:assert/strict"
import { test } from "node:test"
import { fillWords } from "../peer-orders.test.kit.ts"
import {
  assertLeftAlone,
  assertRight,
  failure,
  mib,
  move,
  pause,
  peerSeed,
  untilFailed,
  words,
  wrongWordsThere,
} from "../rdma/two-processes.test.kit.ts"
import { type FabricSide, openFabricRig } from "./fabric-process.test.kit.ts"

const bytes = 32 * mib

/** Registers the tests between two processes for one provider. */
export function twoProcessTests(side: FabricSide, skip: string | false): void {
  const { provider } = side
  const title = `libfabric over ${provider}, two processes`

  test(`${title}: every byte is right, both ways, over two rails`, { skip }, async () => {
    await using rig = await openFabricRig(bytes, side)
    const read = await move(rig, "read")
    assertRight(rig)
    assert.equal(read.retries, 0)
    assert.ok(read.rails.every((rail) => rail.bytes > 0))
    words(rig).fill(0)
    await move(rig, "write")
    assert.equal(await wrongWordsThere(rig), bytes / 4)
    fillWords(words(rig), peerSeed)
    await move(rig, "write")
    assert.equal(await wrongWordsThere(rig), 0)
  })

  test(`${title}: a peer that is killed in mid-move is lost, soon, and nothing lands after that`, {
    skip,
  }, async () => {
    await using rig = await openFabricRig(bytes, side)
    await move(rig, "read")
    setTimeout(() => rig.peer.signal("SIGKILL"), 30)
    const started = performance.now()
    const error = await untilFailed(() => move(rig, "read"))
    assert.ok(performance.now() - started < 10_000)
    assert.ok((await rig.connection.lost) instanceof Error)
    const late = await failure(move(rig, "read"))
    assert.ok(!late.mayStillWrite)
    // Seen once in some ten runs of shm: it had one of the locks that it shares with us.
    if (provider === "shm" && error.mayStillWrite) return
    assert.equal(error.code, "KV_PEER_LOST", error.message)
    assert.equal(late.code, "KV_PEER_LOST")
    await assertLeftAlone(rig, 100)
  })

  // Its NIC needs no process to serve a reader.
  if (provider === "verbs;ofi_rxm")
    test(`${title}: a peer that is stopped is read all the same`, { skip }, async () => {
      await using rig = await openFabricRig(bytes, side)
      await move(rig, "read")
      rig.peer.signal("SIGSTOP")
      await pause(50)
      words(rig).fill(0)
      await move(rig, "read")
      assertRight(rig)
      rig.peer.signal("SIGCONT")
    })
  else
    test(`${title}: a peer that is stopped costs a deadline, and writes nothing when it goes on`, {
      skip,
    }, async () => {
      await using rig = await openFabricRig(bytes, side)
      await move(rig, "read")
      setTimeout(() => rig.peer.signal("SIGSTOP"), 20)
      const millis = 700
      let began = 0
      const error = await untilFailed(() => {
        began = performance.now()
        return move(rig, "read", { deadline: began + millis })
      })
      assert.ok(performance.now() - began < millis + 3000, `${performance.now() - began} ms`)
      if (provider === "shm" && error.mayStillWrite) return
      assert.ok(["KV_DEADLINE", "KV_PEER_LOST"].includes(error.code), error.message)
      words(rig).fill(0x11111111)
      rig.peer.signal("SIGCONT")
      await assertLeftAlone(rig, 300)
    })
}
