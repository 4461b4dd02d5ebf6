/** Rails whose library does not come back from a call, over the fabric on paper: real threads, real native calls. */
import assert from "node:assert/strict"
import { fork } from "node:child_process"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { KvError } from "../../errors/kv-error.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import { PaperFabric } from "./paper-fabric.test.kit.ts"
import { rdmaTransport } from "./rdma-transport.ts"

const mib = 2 ** 20
const bytes = 4 * mib
const both = { read: true, write: true }

/** Two endpoints over a fabric whose library can hang. Rails 0 and up are the peer's, the next ones ours. */
async function openRig(rails: number) {
  const fabric = new PaperFabric({ ordered: false, writesAreVisible: true })
  const transport = rdmaTransport(fabric.driver, { sliceBytes: 4096 })
  const peer = await transport.open({ host: "127.0.0.1", rails })
  const own = await transport.open({ host: "127.0.0.1", rails })
  const [there, here] = [hostMemory.map(bytes, "stuck-there"), hostMemory.map(bytes, "stuck-here")]
  const remote = [await peer.register(3, there, both)]
  await own.register(0, here, both)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  await peer.admit(session, both)
  const connect = () =>
    own.connect(session, peer.address, { deadline: performance.now() + 20_000, peerHost: "127.0.0.1" })
  const connection = await connect()
  const builder = new PlanBuilder(1)
  builder.add(3, 0, 0, 0, bytes, 0)
  const plan = stripe(builder.finish(), rails)
  const ourRail = (rail: number): number => rails + rail
  return {
    peer,
    own,
    here,
    session,
    connection,
    connect,
    /** A rail of ours hangs from its next call on, until it is freed. */
    hang: (rail: number) => fabric.hang(ourRail(rail), "untilFreed"),
    free: (rail: number) => fabric.hang(ourRail(rail), "no"),
    move: (millis: number, signal?: AbortSignal) =>
      connection.move({
        direction: "read",
        plan,
        remote,
        deadline: performance.now() + millis,
        ...(signal === undefined ? {} : { signal }),
      }),
    async close() {
      await own[Symbol.asyncDispose]()
      await peer[Symbol.asyncDispose]()
      there[Symbol.dispose]()
      here[Symbol.dispose]()
    },
  }
}

async function failure(action: Promise<unknown>): Promise<KvError & { readonly afterMillis: number }> {
  const began = performance.now()
  try {
    await action
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    return Object.assign(thrown, { afterMillis: performance.now() - began })
  }
  return assert.fail("it did not fail")
}

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

test("a call that does not return ends its transfers soon after their deadline, and the endpoint, with the reason", async () => {
  const rig = await openRig(1)
  await rig.move(20_000)
  rig.hang(0)
  const error = await failure(rig.move(300))
  assert.equal(error.code, "KV_TRANSPORT_UNAVAILABLE")
  assert.match(error.message, /rail 0 of paper has not come back from looking for completions for \d+ ms/)
  assert.ok(error.mayStillWrite, "the library may still write: the memory is not said to be free")
  assert.ok(error.afterMillis > 300 && error.afterMillis < 4000, `${error.afterMillis} ms`)
  assert.match((await rig.connection.lost).message, /has not come back/)

  // What was not under way is refused, and its memory is nobody's but its owner's.
  const late = await failure(rig.move(20_000))
  assert.match(late.message, /has not come back/)
  assert.equal(late.mayStillWrite, false)
  assert.match((await failure(rig.connect())).message, /has not come back/)
  assert.match((await failure(rig.own.register(9, rig.here, both))).message, /has not come back/)
  assert.deepEqual(
    [rig.own.reaches(rig.peer.address).usable, rig.peer.reaches(rig.own.address).usable],
    [false, true],
  )
  // Neither region nor session is said to be quiet; the peer's side knows nothing of this.
  assert.ok((await failure(rig.own.deregister(0))).mayStillWrite)
  assert.ok((await failure(rig.own.dismiss(rig.session.id))).mayStillWrite)
  await rig.own.dismiss("00".repeat(16))
  await rig.peer.dismiss(rig.session.id)
  const began = performance.now()
  await rig.close()
  assert.ok(performance.now() - began < 5000)
  rig.free(0)
})

test("without a deadline in sight it gets five seconds, and a cancel shortens them", async () => {
  const rigs = [await openRig(1), await openRig(1)] as const
  for (const rig of rigs) rig.hang(0)
  const abort = new AbortController()
  const ends = [failure(rigs[0].move(60_000)), failure(rigs[1].move(60_000, abort.signal))] as const
  await pause(200)
  abort.abort()
  const [patient, cancelled] = await Promise.all(ends)
  assert.ok(patient.afterMillis > 4800 && patient.afterMillis < 8000, `${patient.afterMillis} ms`)
  assert.ok(cancelled.afterMillis > 1000 && cancelled.afterMillis < 4000, `${cancelled.afterMillis} ms`)
  assert.ok(patient.mayStillWrite && cancelled.mayStillWrite)
  for (const rig of rigs) {
    await rig.close()
    rig.free(0)
  }
})

test("one rail of two does not come back: the other one lets go, and the transfer ends", async () => {
  const rig = await openRig(2)
  rig.hang(1)
  const error = await failure(rig.move(300))
  assert.match(error.message, /rail 1 of paper has not come back/)
  assert.ok(error.afterMillis < 4000, `${error.afterMillis} ms`)
  await rig.close()
  rig.free(1)
})

test("a call that is slow and comes back costs its time alone", async () => {
  const rig = await openRig(1)
  rig.hang(0)
  setTimeout(() => rig.free(0), 1500)
  assert.equal((await rig.move(20_000)).bytes, bytes)
  await rig.move(20_000)
  await rig.close()
})

test("one that comes back when it was given up ends, and nothing more is heard of it", async () => {
  const rig = await openRig(1)
  rig.hang(0)
  await failure(rig.move(100))
  rig.free(0)
  await pause(300)
  assert.match((await failure(rig.connect())).message, /has not come back/)
  await rig.close()
})

/** Runs the program below; returns how it ended, and how long after it had begun to hang. */
async function exitOf(
  how: string,
  millisMax = 12_000,
): Promise<{ readonly code: number | null; readonly millis: number }> {
  const child = fork(fileURLToPath(new URL("./stuck-process.test.kit.js", import.meta.url)), [how])
  let began = performance.now()
  child.once("message", () => {
    began = performance.now()
  })
  const killer = setTimeout(() => child.kill("SIGKILL"), millisMax)
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve))
  clearTimeout(killer)
  return { code, millis: performance.now() - began }
}

test("a process ends with its own exit code while a library keeps a rail's thread", async () => {
  const ways = ["exit at once", "exit later", "nothing left to do"]
  const ends = await Promise.all(ways.map((how) => exitOf(how)))
  assert.deepEqual(
    ends.map(({ code }) => code),
    [5, 6, 7],
  )
  for (const { millis } of ends) assert.ok(millis < 8000, `${millis} ms`)
})

test("without the watch it would not end at all: a thread in such a call keeps the process", async () => {
  assert.equal((await exitOf("a thread of nobody's", 6000)).code, null)
})
