import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { after, test } from "node:test"
import { xxh64 } from "@node-rs/xxhash"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { Connection, Endpoint, Session } from "../transport.ts"
import { createCma } from "./cma.ts"
import { OtherProcess, textOf, wordAt } from "./other-process.test.kit.ts"

const mib = 2 ** 20
const size = 16 * mib
const crew = await openCrew({ threads: 2 })
// What watches a peer keeps no process alive; these tests wait for it.
const keepAlive = setInterval(() => {}, 1000)
after(async () => {
  clearInterval(keepAlive)
  await crew[Symbol.asyncDispose]()
})

const soon = (): number => performance.now() + 20_000
const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
const newSession = (): Session => ({ id: randomBytes(16).toString("hex"), key: randomBytes(32) })

interface Rig extends AsyncDisposable {
  readonly other: OtherProcess
  readonly endpoint: Endpoint
  readonly connection: Connection
  readonly session: Session
  readonly target: HostMapping
}

/** The other process owns 16 MiB under region 3; this one has as many under region 0, and a connection. */
async function openRig(rights = { read: true, write: true }): Promise<Rig> {
  const other = await OtherProcess.start()
  const session = newSession()
  await other.own(size, session, rights)
  const endpoint = await createCma({ crew }).open({ host: "127.0.0.1", rails: 1 })
  const target = hostMemory.map(size, "cma-target")
  await endpoint.register(0, target, { read: true, write: true })
  const connection = await endpoint.connect(session, other.address, { deadline: soon(), peerHost: "" })
  return {
    other,
    endpoint,
    connection,
    session,
    target,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await endpoint[Symbol.asyncDispose]()
      target[Symbol.dispose]()
      await other[Symbol.asyncDispose]()
    },
  }
}

/** Blocks of 64 KiB of the owner, in another order here. */
function scatteredPlan(direction: "read" | "write"): TransferPlan {
  const blocks = size / 65536
  const builder = new PlanBuilder(blocks)
  for (let i = 0; i < blocks; i++) {
    const [theirs, ours] = [((i * 7 + 3) % blocks) * 65536, ((i * 11 + 5) % blocks) * 65536]
    if (direction === "read") builder.add(3, theirs, 0, ours, 65536, 0)
    else builder.add(0, ours, 3, theirs, 65536, 0)
  }
  return builder.finish()
}

/** How many words of the target are not what the plan brings of the owner's first content. */
function wrongWords({ target }: Rig, plan: TransferPlan): number {
  let wrong = 0
  for (let i = 0; i < plan.pieces; i++) {
    const bytes = target.view(plan.targetOffset[i]!, plan.length[i]!)
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    const first = plan.sourceOffset[i]! / 4
    for (let w = 0; w < words.length; w++) if (words[w] !== wordAt(first + w)) wrong += 1
  }
  return wrong
}

const codeOf = (thrown: unknown): string => {
  assert.ok(thrown instanceof KvError, String(thrown))
  return thrown.code
}

test("a read brings every byte of another process, hashed as it lands", async () => {
  await using rig = await openRig()
  const plan = scatteredPlan("read")
  const hashes = {
    count: plan.pieces,
    region: plan.targetRegion,
    offset: plan.targetOffset,
    length: plan.length,
    seed: BigUint64Array.from(plan.length, (_, i) => BigInt(i)),
  }
  const remote = [rig.other.descriptor]
  const moved = await rig.connection.move({ direction: "read", plan, remote, hashes, deadline: soon() })
  assert.equal(wrongWords(rig, plan), 0)
  assert.equal(moved.bytes, size)
  const expected = BigUint64Array.from(plan.length, (length, i) =>
    xxh64(rig.target.view(plan.targetOffset[i]!, length), BigInt(i)),
  )
  assert.deepEqual(moved.hashes, expected)
})

test("a write puts every byte into another process", async () => {
  await using rig = await openRig()
  const plan = scatteredPlan("write")
  randomBytes(size).copy(rig.target.view(0, size))
  await rig.connection.move({ direction: "write", plan, remote: [rig.other.descriptor], deadline: soon() })
  for (const i of [0, 1, 100, plan.pieces - 1]) {
    const theirs = await rig.other.ask({ do: "bytes", offset: plan.targetOffset[i]!, length: 65536 })
    assert.equal(theirs, Buffer.from(rig.target.view(plan.sourceOffset[i]!, 65536)).toString("hex"))
  }
})

test("a region that its owner closes and uses again is never delivered with other bytes", async () => {
  let [delivered, refused] = [0, 0]
  for (let round = 0; round < 5; round++) {
    await using rig = await openRig()
    const plan = scatteredPlan("read")
    await using prepared = rig.connection.prepare({ direction: "read", plan, remote: [rig.other.descriptor] })
    // The owner closes the region while reads are under way, and writes over it at once.
    const close = async (): Promise<void> => {
      await rig.other.ask({ do: "deregister" })
      await rig.other.ask({ do: "fill", byte: 0xee })
    }
    let closing: Promise<void> | undefined
    for (let [reads, over] = [0, false]; !over; reads++) {
      if (reads === round) closing = close()
      await prepared.post({ deadline: soon() }).then(
        () => {
          delivered += 1
          assert.equal(wrongWords(rig, plan), 0)
        },
        (thrown: unknown) => {
          assert.equal(codeOf(thrown), "KV_RKEY_REJECTED")
          refused += 1
          over = true
        },
      )
    }
    await closing
  }
  assert.equal(refused, 5)
  assert.ok(delivered >= 10, "some reads came before the region was closed")
})

test("a session that its owner ends moves nothing more, also one that waits", async () => {
  await using rig = await openRig()
  await rig.other.ask({ do: "dismiss", session: textOf(rig.session) })
  // Nobody moves anything: the connection notices by itself.
  assert.match((await rig.connection.lost).message, /ended the session/)
  const plan = scatteredPlan("read")
  const move = rig.connection.move({
    direction: "read",
    plan,
    remote: [rig.other.descriptor],
    deadline: soon(),
  })
  await assert.rejects(move, { code: "KV_PEER_LOST" })
})

test("an owner that is killed in the midst of reads is a lost peer, and what was delivered before is right", async () => {
  await using rig = await openRig()
  const plan = scatteredPlan("read")
  await using prepared = rig.connection.prepare({ direction: "read", plan, remote: [rig.other.descriptor] })
  const killed = pause(20).then(() => rig.other.kill())
  let code = ""
  while (code === "") {
    await prepared.post({ deadline: soon() }).then(
      () => assert.equal(wrongWords(rig, plan), 0),
      (thrown: unknown) => {
        code = codeOf(thrown)
      },
    )
  }
  await killed
  assert.equal(code, "KV_PEER_LOST")
  assert.ok((await rig.connection.lost) instanceof Error)
  const reach = rig.endpoint.reaches(rig.other.address)
  assert.deepEqual([reach.usable, /is gone/.test(reach.why)], [false, true])
})

test("an owner that dies while nothing moves is noticed", async () => {
  await using rig = await openRig()
  await rig.other.kill()
  assert.match((await rig.connection.lost).message, /it is gone/)
  const again = rig.endpoint.connect(rig.session, rig.other.address, { deadline: soon(), peerHost: "" })
  await assert.rejects(again, { code: "KV_PEER_UNREACHABLE" })
})

test("an owner that is stopped is read all the same", async () => {
  await using rig = await openRig()
  rig.other.child.kill("SIGSTOP")
  const plan = scatteredPlan("read")
  await rig.connection.move({ direction: "read", plan, remote: [rig.other.descriptor], deadline: soon() })
  assert.equal(wrongWords(rig, plan), 0)
  rig.other.child.kill("SIGCONT")
})

test("a region is closed only when nobody writes into it any more, and a writer that died writes no more", async () => {
  const session = newSession()
  await using writer = await OtherProcess.start()
  const endpoint = await createCma({ crew }).open({ host: "127.0.0.1", rails: 1 })
  const memory = hostMemory.map(mib, "cma-written")
  await endpoint.register(0, memory, { read: true, write: true })
  await endpoint.admit(session, { read: true, write: true })
  await writer.ask({ do: "announce a write", address: endpoint.address, session: textOf(session) })
  let closed = false
  const closing = endpoint.deregister(0).then(() => {
    closed = true
  })
  await pause(50)
  assert.equal(closed, false)
  await writer.kill()
  await closing
  await endpoint[Symbol.asyncDispose]()
  memory[Symbol.dispose]()
})

test("a process of another user is told why it cannot read this one", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root can start a process of another user")
  const endpoint = await createCma({ crew }).open({ host: "127.0.0.1", rails: 1 })
  await using stranger = await OtherProcess.start(65534)
  const reach = await stranger.reach(endpoint.address)
  assert.equal(reach.usable, false)
  assert.match(reach.why, /runs as user 0 and this one as 65534: run both as one user/)
  await endpoint[Symbol.asyncDispose]()
})
