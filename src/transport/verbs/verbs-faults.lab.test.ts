import assert from "node:assert/strict"
import { test } from "node:test"
import type { KvError } from "../../errors/kv-error.ts"
import type { Moved } from "../transport.ts"
import {
  assertLeftAlone,
  assertRight,
  bytes,
  failure,
  move,
  openRig,
  pause,
  run,
  soon,
  untilFailed,
  wholePlan,
  words,
} from "./verbs-rig.test.kit.ts"

test("a region closed in mid-move ends it with its reason, and its new key works on the same connection", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
  let closing: Promise<void> | undefined
  const started = performance.now()
  const error = await untilFailed(() => {
    const moving = move(rig, "read", 2)
    closing ??= pause(30).then(() => rig.peer.deregister())
    return moving
  })
  assert.equal(error.code, "KV_RKEY_REJECTED", error.message)
  assert.match(error.message, /IBV_WC_REM_ACCESS_ERR/)
  assert.match(error.message, /the peer says: region 3 is not registered/)
  assert.ok(performance.now() - started < 10_000)
  await closing
  await assertLeftAlone(rig)
  rig.remote = (await rig.peer.register()).remote
  await move(rig, "read", 2)
  assertRight(rig)
})

test("innocent moves that stood behind a refused one are carried out all the same", async () => {
  await using rig = await openRig(["rxe0"])
  const wrong = { ...rig.remote, rkeys: rig.remote.rkeys.map((rkey) => rkey ^ 0x1) }
  const bad = (): Promise<Moved> =>
    rig.connection.move({ direction: "read", plan: wholePlan("read", 1), remote: [wrong], deadline: soon() })
  const [first, refused, last] = await Promise.allSettled([move(rig, "read", 1), bad(), move(rig, "read", 1)])
  assert.equal(first.status, "fulfilled", JSON.stringify(first))
  assert.equal(refused.status, "rejected")
  assert.equal(refused.status === "rejected" && (refused.reason as KvError).code, "KV_RKEY_REJECTED")
  assert.equal(last.status, "fulfilled", JSON.stringify(last))
  assertRight(rig)
})

test("a peer that is killed in mid-move ends it within two seconds", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
  let killed = 0
  const error = await untilFailed(() => {
    const moving = move(rig, "read", 2)
    if (killed === 0) {
      killed = 1
      setTimeout(() => {
        killed = performance.now()
        rig.peer.child.kill("SIGKILL")
      }, 30)
    }
    return moving
  })
  const took = performance.now() - killed
  assert.equal(error.code, "KV_PEER_LOST", error.message)
  assert.ok(took < 2000, `${took} ms`)
  assert.equal(((await rig.connection.lost) as KvError).code, "KV_PEER_LOST")
  await assertLeftAlone(rig)
})

test("a peer that is stopped still serves reads; a write ends at its deadline, and works when it goes on", async () => {
  await using rig = await openRig(["rxe0"])
  rig.peer.child.kill("SIGSTOP")
  await pause(50)
  await move(rig, "read", 1)
  assertRight(rig)
  const deadline = soon(700)
  const error = await failure(move(rig, "write", 1, deadline))
  assert.equal(error.code, "KV_DEADLINE", error.message)
  assert.ok(performance.now() < deadline + 1000, `${performance.now() - deadline} ms late`)
  rig.peer.child.kill("SIGCONT")
  await move(rig, "write", 1)
  assert.equal(await rig.peer.wrongWords(0, bytes / 4), 0)
})

test("a rail that dies in mid-move leaves its pieces to the other, and comes back", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
  let downAt = 0
  setTimeout(() => {
    run("ip link set rail1 down")
    downAt = performance.now()
  }, 50)
  const ends: Moved[] = []
  try {
    // Until a move has begun and ended on one rail.
    for (let i = 0; i < 200 && (downAt === 0 || ends.at(-1)!.rails[1]!.bytes > 0); i++) {
      words(rig).fill(0)
      ends.push(await move(rig, "read", 2))
      assertRight(rig)
    }
  } finally {
    run("ip link set rail1 up")
  }
  const last = ends.at(-1)!
  assert.deepEqual(
    last.rails.map(({ bytes: moved }) => moved),
    [bytes, 0],
  )
  assert.ok(
    ends.some(({ retries }) => retries > 0),
    JSON.stringify(ends),
  )
  const until = soon(10_000)
  let mended: Moved
  do {
    await pause(100)
    mended = await move(rig, "read", 2)
  } while (mended.rails[1]!.bytes === 0 && performance.now() < until)
  assert.ok(mended.rails[1]!.bytes > 0, "the lane was mended")
  assertRight(rig)
})

test("when every rail is down the move ends by itself, with what the NIC said", async () => {
  await using rig = await openRig(["rxe1"])
  await move(rig, "read", 1)
  run("ip link set rail1 down")
  try {
    const started = performance.now()
    const error = await failure(move(rig, "read", 1))
    assert.equal(error.code, "KV_PEER_LOST", error.message)
    assert.match(error.message, /IBV_WC_\w+_ERR, vendor code .*likely cause/)
    assert.match(
      error.message,
      /piece \d+: the read of 65536 bytes at offset \d+ of region 3 over rail 0 \(rxe1\)/,
    )
    assert.ok(performance.now() - started < 5000)
  } finally {
    run("ip link set rail1 up")
  }
})

test("a cancelled and a late move over two rails have stopped when they reject", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 15)
  const cancelled = await untilFailed(() => move(rig, "read", 2, soon(), abort.signal))
  assert.equal(cancelled.code, "KV_CANCELLED")
  await assertLeftAlone(rig)
  const deadline = soon(15)
  const late = await untilFailed(() => move(rig, "read", 2, deadline))
  assert.equal(late.code, "KV_DEADLINE")
  await assertLeftAlone(rig)
  await move(rig, "read", 2)
  assertRight(rig)
})
