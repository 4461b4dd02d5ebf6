import assert from "node:assert/strict"
import { test } from "node:test"
import type { KvError } from "../../errors/kv-error.ts"
import {
  blackHoleTest,
  lossTest,
  noRailTest,
  noWires,
  ownRails,
  railDeathTest,
  type TwoRails,
} from "../rdma/rail-faults.test.kit.ts"
import {
  assertLeftAlone,
  assertRight,
  both,
  failure,
  move,
  pause,
  peerRegion,
  soon,
  untilFailed,
  wholePlan,
  wrongWordsThere,
} from "../rdma/two-processes.test.kit.ts"
import type { Moved } from "../transport.ts"
import { openVerbsRig } from "./verbs-process.test.kit.ts"

test("a region closed in mid-move ends it with its reason, and its new key works on the same connection", async () => {
  await using rig = await openVerbsRig(["rxe0", "rxe1"])
  let closing: Promise<void> | undefined
  const started = performance.now()
  const error = await untilFailed(() => {
    const moving = move(rig, "read")
    closing ??= pause(30).then(() => rig.peer.tell("deregister", { region: peerRegion }))
    return moving
  })
  assert.equal(error.code, "KV_RKEY_REJECTED", error.message)
  assert.match(error.message, /IBV_WC_REM_ACCESS_ERR/)
  assert.match(error.message, /the peer says: region 3 is not registered/)
  assert.ok(performance.now() - started < 10_000)
  await closing
  await assertLeftAlone(rig)
  rig.remote = await rig.peer.tell("registerAgain", { region: peerRegion, access: both })
  await move(rig, "read")
  assertRight(rig)
})

test("innocent moves that stood behind a refused one are carried out all the same", async () => {
  await using rig = await openVerbsRig(["rxe0"])
  const wrong = { ...rig.remote, rkeys: rig.remote.rkeys.map((rkey) => rkey ^ 0x1) }
  const bad = (): Promise<Moved> =>
    rig.connection.move({
      direction: "read",
      plan: wholePlan(rig, "read"),
      remote: [wrong],
      deadline: soon(),
    })
  const [first, refused, last] = await Promise.allSettled([move(rig, "read"), bad(), move(rig, "read")])
  assert.equal(first.status, "fulfilled", JSON.stringify(first))
  assert.equal(refused.status, "rejected")
  assert.equal(refused.status === "rejected" && (refused.reason as KvError).code, "KV_RKEY_REJECTED")
  assert.equal(last.status, "fulfilled", JSON.stringify(last))
  assertRight(rig)
})

test("a peer that is killed in mid-move ends it within two seconds", async () => {
  await using rig = await openVerbsRig(["rxe0", "rxe1"])
  let killed = 0
  const error = await untilFailed(() => {
    const moving = move(rig, "read")
    if (killed === 0) {
      killed = 1
      setTimeout(() => {
        killed = performance.now()
        rig.peer.signal("SIGKILL")
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
  await using rig = await openVerbsRig(["rxe0"])
  rig.peer.signal("SIGSTOP")
  await pause(50)
  await move(rig, "read")
  assertRight(rig)
  const deadline = soon(700)
  const error = await failure(move(rig, "write", { deadline }))
  assert.equal(error.code, "KV_DEADLINE", error.message)
  assert.ok(performance.now() < deadline + 1000, `${performance.now() - deadline} ms late`)
  rig.peer.signal("SIGCONT")
  await move(rig, "write")
  assert.equal(await wrongWordsThere(rig), 0)
})

const open = () => openVerbsRig(ownRails.near)
railDeathTest("verbs", open, ownRails, { comesBack: true })
noRailTest("verbs", open, ownRails, {
  lastWords:
    /piece \d+: the read of 65536 bytes at offset \d+ of region 3 over rail \d \(rxe\d\).*IBV_WC_\w+_ERR, vendor code .*likely cause/,
})
const openOver = ({ near, far }: TwoRails) => openVerbsRig(near, far)
lossTest("verbs", openOver, noWires)
blackHoleTest("verbs", openOver, { reported: true, skip: noWires })

test("a cancelled and a late move over two rails have stopped when they reject", async () => {
  await using rig = await openVerbsRig(["rxe0", "rxe1"])
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 15)
  const cancelled = await untilFailed(() => move(rig, "read", { signal: abort.signal }))
  assert.equal(cancelled.code, "KV_CANCELLED")
  await assertLeftAlone(rig)
  const deadline = soon(15)
  const late = await untilFailed(() => move(rig, "read", { deadline }))
  assert.equal(late.code, "KV_DEADLINE")
  await assertLeftAlone(rig)
  await move(rig, "read")
  assertRight(rig)
})
