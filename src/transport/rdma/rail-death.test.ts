/** Rails that die in the middle of a transfer, over the fabric on paper. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { Connection, Moved, RegionDescriptor } from "../transport.ts"
import { PaperFabric } from "./paper-fabric.test.kit.ts"
import type { PaperTraits } from "./paper-world.test.kit.ts"
import { rdmaTransport } from "./rdma-transport.ts"

const mib = 2 ** 20
const bytes = 8 * mib
const sliceBytes = 16384
const both = { read: true, write: true }
const likeVerbs: PaperTraits = { ordered: true, writesAreVisible: false }
const withoutOrder: PaperTraits = { ordered: false, writesAreVisible: true }

interface Rig extends AsyncDisposable {
  readonly connection: Connection
  readonly remote: RegionDescriptor[]
  /** The link of one of our rails, or of the peer's, goes down when it has carried so many more units. */
  cut(side: "ours" | "peer's", rail: number, afterUnits: number): void
  move(direction: "read" | "write", remote?: RegionDescriptor[], plan?: TransferPlan): Promise<Moved>
  /** Asserts that every byte is where it belongs. */
  assertRight(): void
}

async function openRig(traits: PaperTraits, ours: number, theirs: number): Promise<Rig> {
  const fabric = new PaperFabric(traits)
  const transport = rdmaTransport(fabric.driver, { sliceBytes })
  const peer = await transport.open({ host: "127.0.0.1", rails: theirs })
  const own = await transport.open({ host: "127.0.0.1", rails: ours })
  const [there, here] = [hostMemory.map(bytes, "death-there"), hostMemory.map(bytes, "death-here")]
  const content = randomBytes(bytes)
  there.view(0, bytes).set(content)
  const remote = [await peer.register(3, there, both)]
  await own.register(0, here, both)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  await peer.admit(session, both)
  const how = { deadline: performance.now() + 20_000, peerHost: "127.0.0.1", regions: remote }
  const connection = await own.connect(session, peer.address, how)
  return {
    connection,
    remote,
    cut: (side, rail, afterUnits) => fabric.cut(side === "ours" ? theirs + rail : rail, afterUnits),
    move(direction, descriptors = remote, plan = wholePlan(direction, ours)) {
      if (direction === "write") {
        here.view(0, bytes).set(content)
        there.view(0, bytes).fill(0)
      }
      const deadline = performance.now() + 20_000
      return connection.move({ direction, plan, remote: descriptors, deadline })
    },
    assertRight() {
      assert.equal(Buffer.compare(here.view(0, bytes), content), 0)
      assert.equal(Buffer.compare(there.view(0, bytes), content), 0)
    },
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await own[Symbol.asyncDispose]()
      await peer[Symbol.asyncDispose]()
      there[Symbol.dispose]()
      here[Symbol.dispose]()
    },
  }
}

function wholePlan(direction: "read" | "write", rails: number): TransferPlan {
  const builder = new PlanBuilder(1)
  if (direction === "read") builder.add(3, 0, 0, 0, bytes, 0)
  else builder.add(0, 0, 3, 0, bytes, 0)
  return stripe(builder.finish(), rails)
}

function sleepWithoutTurns(millis: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
}

const sum = ({ rails }: Moved): number => rails.reduce((all, rail) => all + rail.bytes, 0)

for (const [name, traits] of [
  ["an ordered fabric", likeVerbs],
  ["one without order", withoutOrder],
] as const) {
  for (const direction of ["read", "write"] as const) {
    test(`${name}: a rail that dies in the middle of a ${direction} leaves its pieces to the others, and every byte arrives`, async () => {
      await using rig = await openRig(traits, 2, 2)
      rig.cut("ours", 0, 40)
      const moved = await rig.move(direction)
      rig.assertRight()
      assert.equal(moved.bytes, bytes)
      assert.equal(sum(moved), bytes, "each byte is counted on the rail that brought it, once")
      assert.ok(moved.rails[0]!.bytes <= 40 * sliceBytes, JSON.stringify(moved.rails))
      assert.ok(moved.retries > 0, "what was outstanding on it counts as retried")
    })
  }

  test(`${name}: a rail's pieces go over to the others while the main thread does nothing at all`, async () => {
    await using rig = await openRig(traits, 2, 2)
    rig.cut("ours", 1, 20)
    const { remote } = rig
    await using prepared = rig.connection.prepare({ direction: "read", plan: wholePlan("read", 2), remote })
    const moving = prepared.post({ deadline: performance.now() + 20_000 })
    const until = performance.now() + 10_000
    // No turn of the event loop passes here.
    while (prepared.landed!() < bytes && performance.now() < until) sleepWithoutTurns(5)
    assert.equal(prepared.landed!(), bytes)
    assert.ok((await moving).retries > 0)
    rig.assertRight()
  })

  test(`${name}: the death of the peer's rail is no different, also with unequal numbers of rails`, async () => {
    await using rig = await openRig(traits, 3, 2)
    rig.cut("peer's", 1, 0)
    const moved = await rig.move("read")
    rig.assertRight()
    assert.equal(sum(moved), bytes)
    const again = await rig.move("read")
    assert.equal(again.rails[1]!.bytes, 0, "the next transfer knows from its start")
  })

  test(`${name}: with no rail left a transfer fails in bounded time, and says so`, async () => {
    await using rig = await openRig(traits, 2, 2)
    rig.cut("ours", 0, 20)
    rig.cut("ours", 1, 30)
    const began = performance.now()
    await assert.rejects(rig.move("read"), (error: unknown) => {
      assert.ok(error instanceof KvError && error.code === "KV_PEER_LOST", String(error))
      assert.match(error.message, /PAPER_RETRY_EXCEEDED/)
      return true
    })
    assert.ok(performance.now() - began < 10_000)
    await assert.rejects(rig.move("read"), (error: unknown) => error instanceof KvError)
  })

  test(`${name}: a transfer that is refused does not harm those that were flushed with it`, async () => {
    await using rig = await openRig(traits, 1, 1)
    const wrong = rig.remote.map((descriptor) => ({
      ...descriptor,
      rkeys: descriptor.rkeys.map((key) => key + 1),
    }))
    const small = new PlanBuilder(1)
    small.add(3, 0, 0, 0, 1000, 0)
    for (let round = 0; round < 5; round++) {
      const good = rig.move("read")
      const bad = rig.move("read", wrong, small.finish())
      await assert.rejects(
        bad,
        (error: unknown) => error instanceof KvError && error.code === "KV_RKEY_REJECTED",
      )
      assert.equal((await good).bytes, bytes)
      rig.assertRight()
    }
  })
}
