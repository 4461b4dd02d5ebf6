/**
 * libfabric's shm keeps a spin lock in memory that two processes share. Here a process dies, or stops, with that lock held:
 * the other one's rail spins inside libfabric, for certain.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { failure, mib, move, pause, soon } from "../rdma/two-processes.test.kit.ts"
import { openFabricRig } from "./fabric-process.test.kit.ts"
import { openPreparedLibfabric } from "./prepared-libfabric.ts"
import { noLibfabric } from "./two-rails.test.kit.ts"

/** Where the lock lies is known of one version. */
function noLock(): string | false {
  const none = noLibfabric()
  if (none !== false) return none
  const { version } = openPreparedLibfabric({})
  return version === "1.17" ? false : `where libfabric ${version} has its lock is not known here`
}

const skip = noLock()
const open = () => openFabricRig(32 * mib, { provider: "shm" })

/** Has the peer hold the locks, or free them. */
async function holdLocks({ peer }: Awaited<ReturnType<typeof open>>, held: boolean): Promise<void> {
  assert.ok((await peer.tell("lock", { held })) > 0, `no lock was ${held ? "held" : "freed"}`)
}

test("a lock that is held for a while costs that while", { skip }, async () => {
  await using rig = await open()
  await holdLocks(rig, true)
  const started = performance.now()
  const freed = pause(1000).then(() => holdLocks(rig, false))
  await move(rig, "read")
  assert.ok(performance.now() - started >= 999, "the lock is what the rail waits for")
  await freed
})

test("a peer that dies with the lock costs its transfers, soon, and the endpoint; it can be closed", {
  skip,
}, async () => {
  const rig = await open()
  await holdLocks(rig, true)
  const moving = failure(move(rig, "read"))
  const started = performance.now()
  rig.peer.signal("SIGKILL")
  const error = await moving
  assert.equal(error.code, "KV_TRANSPORT_UNAVAILABLE", error.message)
  assert.match(error.message, /rail \d of libfabric has not come back from .* for \d+ ms/)
  assert.ok(error.mayStillWrite)
  assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`)
  assert.ok(!(await failure(move(rig, "read"))).mayStillWrite)
  const refused = await failure(rig.endpoint.register(9, rig.span, { read: true, write: false }))
  assert.match(refused.message, /has not come back/)
  const closing = performance.now()
  await rig[Symbol.asyncDispose]()
  assert.ok(performance.now() - closing < 5000, `${performance.now() - closing} ms`)
})

test("a peer that is stopped with the lock costs the deadline and little more; awake again, it frees the rail's thread", {
  skip,
}, async () => {
  await using rig = await open()
  await holdLocks(rig, true)
  rig.peer.signal("SIGSTOP")
  const started = performance.now()
  const error = await failure(move(rig, "read", { deadline: soon(700) }))
  assert.equal(error.code, "KV_TRANSPORT_UNAVAILABLE", error.message)
  assert.ok(error.mayStillWrite)
  assert.ok(performance.now() - started < 4000, `${performance.now() - started} ms`)
  rig.peer.signal("SIGCONT")
  await holdLocks(rig, false)
})
