import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { readRdmaDevices } from "../../os/rdma-devices.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { Connection, Endpoint, Move, Moved, RegionDescriptor } from "../transport.ts"
import { createVerbs } from "./verbs.ts"
import { peerRegion, VerbsProcess, wordAt } from "./verbs-process.test.kit.ts"

const mib = 2 ** 20
const bytes = 8 * mib
const ownRegion = 7
const both = { read: true, write: true }
const soon = (millis = 20_000): number => performance.now() + millis

interface Rig extends AsyncDisposable {
  readonly peer: VerbsProcess
  readonly endpoint: Endpoint
  readonly connection: Connection
  readonly span: HostMapping
  remote: RegionDescriptor
}

/** Another process with a region of words that say where they are, and this one connected to it. */
async function openRig(near: readonly string[], far: readonly string[] = near): Promise<Rig> {
  const peer = new VerbsProcess()
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  const { address, remote } = await peer.open(far, bytes, session, both)
  const verbs = createVerbs({ devices: near.map((device) => ({ device })), sliceBytes: 65536 })
  const endpoint = await verbs.open({ host: "127.0.0.1", rails: 1 })
  const span = hostMemory.map(bytes, "verbs-faults")
  await endpoint.register(ownRegion, span, both)
  const connection = await endpoint.connect(session, address, { deadline: soon(), peerHost: "127.0.0.1" })
  return {
    peer,
    endpoint,
    connection,
    span,
    remote,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await endpoint[Symbol.asyncDispose]()
      await peer[Symbol.asyncDispose]()
      span[Symbol.dispose]()
    },
  }
}

/** The whole region, back to front in pieces of `length` bytes, dealt over the rails. */
function wholePlan(direction: Move["direction"], rails: number, length = 65536): TransferPlan {
  const builder = new PlanBuilder(bytes / length)
  const [from, to] = direction === "read" ? [peerRegion, ownRegion] : [ownRegion, peerRegion]
  for (let at = bytes - length; at >= 0; at -= length) builder.add(from, at, to, at, length, 0)
  return stripe(builder.finish(), rails)
}

function move(
  rig: Rig,
  direction: Move["direction"],
  rails: number,
  deadline = soon(),
  signal?: AbortSignal,
): Promise<Moved> {
  return rig.connection.move({
    direction,
    plan: wholePlan(direction, rails),
    remote: [rig.remote],
    deadline,
    ...(signal === undefined ? {} : { signal }),
  })
}

function words({ span }: Rig): Uint32Array {
  const view = span.view(0, bytes)
  return new Uint32Array(view.buffer, view.byteOffset, bytes / 4)
}

function assertRight(rig: Rig): void {
  const found = words(rig)
  const wrong = found.findIndex((word, i) => word !== wordAt(i))
  assert.equal(wrong, -1, `word ${wrong} is 0x${found[wrong]?.toString(16)}`)
}

async function assertLeftAlone(rig: Rig): Promise<void> {
  words(rig).fill(0x11111111)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(
    words(rig).findIndex((word) => word !== 0x11111111),
    -1,
  )
}

async function failure(action: Promise<unknown>): Promise<KvError> {
  try {
    await action
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    return thrown
  }
  return assert.fail("it did not fail")
}

/** Moves again and again until one fails; `limit` moves that all end well are a failure of the test. */
async function untilFailed(attempt: () => Promise<unknown>, limit = 400): Promise<KvError> {
  for (let i = 0; i < limit; i++) {
    try {
      await attempt()
    } catch (thrown) {
      assert.ok(thrown instanceof KvError, String(thrown))
      return thrown
    }
  }
  return assert.fail(`${limit} moves all ended well`)
}

const run = (command: string): void => void execFileSync("/bin/sh", ["-c", command], { stdio: "pipe" })
const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

test("two processes, two rails: every byte is right, both ways, and each rail carries its part", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
  const read = await move(rig, "read", 2)
  assertRight(rig)
  assert.deepEqual(
    read.rails.map(({ bytes: moved }) => moved),
    [bytes / 2, bytes / 2],
  )
  assert.equal(read.retries, 0)
  // Backwards through the peer's memory and home again: its own words, written by us, are still right.
  const written = await move(rig, "write", 2)
  assert.equal(written.bytes, bytes)
  assert.equal(await rig.peer.wrongWords(0, bytes / 4), 0)
  words(rig).fill(0)
  await move(rig, "write", 2)
  assert.equal(await rig.peer.wrongWords(0, bytes / 4), bytes / 4 - 1, "only word 0 is 0 by itself")
})

test("the rails in words: GID and why, ordering and why, flags, and that this driver takes no dma-buf", async () => {
  await using rig = await openRig(["rxe0", "rxe1"])
  const rails = rig.endpoint.describe!()
  assert.equal(rails.length, 2)
  for (const [at, { rail, facts }] of rails.entries()) {
    assert.equal(rail, at)
    assert.match(facts["device"]!, new RegExp(`rxe${at} port 1`))
    assert.match(facts["gid"]!, /GID index 1 .*RoCE v2 with an IPv4 address/)
    assert.match(facts["ordering"]!, /ibv_reg_mr_iova2/)
    assert.match(
      facts["regions registered with"]!,
      /local write \| remote write \| remote read \| relaxed ordering/,
    )
    assert.match(
      facts["memory of other devices"]!,
      /not supported by this driver.*EOPNOTSUPP \(95\)|ENOTSUP \(95\)/,
    )
  }
})

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

const wire = readRdmaDevices().some(({ name }) => name === "rxw0")
test(
  "over a wire that loses 5 % of its packets every byte is right",
  wire ? {} : { skip: "there is no wire rxw0-rxw1 here: lab-wire add 0 makes it" },
  async () => {
    await using rig = await openRig(["rxw0"], ["rxw1"])
    run("tc qdisc replace dev w0 root netem loss 5%")
    try {
      for (const direction of ["read", "write"] as const) {
        const moved = await move(rig, direction, 1, soon(60_000))
        assert.equal(moved.bytes, bytes)
        if (direction === "read") assertRight(rig)
      }
      assert.equal(await rig.peer.wrongWords(0, bytes / 4), 0)
    } finally {
      run("tc qdisc del dev w0 root")
    }
    const sent = execFileSync("cat", ["/sys/class/infiniband/rxw0/ports/1/hw_counters/completer_retry_err"])
    assert.ok(Number(sent) > 0, "packets were lost and sent again")
  },
)
