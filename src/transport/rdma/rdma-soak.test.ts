/**
 * Many transfers at once over the fabric on paper, while links go down and up, transfers are cancelled, run out of time and have
 * wrong keys: what is delivered is right, and nothing lands after the end of a transfer.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { Connection, RegionDescriptor } from "../transport.ts"
import { PaperFabric } from "./paper-fabric.test.kit.ts"
import type { PaperTraits } from "./paper-world.test.kit.ts"
import { rdmaTransport } from "./rdma-transport.ts"

const bytes = 2 ** 21
const slots = 6
const slotBytes = Math.floor(bytes / slots)
const poison = 0xa5
const rails = { ours: 2, theirs: 3 } as const
const both = { read: true, write: true }
/** How a transfer may come to an end that it did not want. */
const badEnds: readonly string[] = ["KV_CANCELLED", "KV_DEADLINE", "KV_RKEY_REJECTED"]

/** Numbers that the same seed gives again. */
function generator(seed: number): (below: number) => number {
  let state = (Math.imul(seed, 2654435761) ^ 0x5bd1e995) >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Pieces of any length in one slot of the memory, in any order, none touching another. */
function piecesOf(
  slot: number,
  random: (below: number) => number,
): { plan: TransferPlan; places: [number, number][] } {
  const places: [number, number][] = []
  for (let at = 0; at < slotBytes - 20_000; ) {
    const length = 1 + random(random(2) === 0 ? 20_000 : 300)
    places.push([slot * slotBytes + at, length])
    at += length + 1 + random(200)
  }
  for (let i = places.length - 1; i > 0; i--) {
    const j = random(i + 1)
    ;[places[i], places[j]] = [places[j]!, places[i]!]
  }
  const builder = new PlanBuilder(places.length)
  for (const [offset, length] of places) builder.add(3, offset, 0, offset, length, 0)
  return { plan: stripe(builder.finish(), rails.ours), places }
}

/** Runs for a while, and throws at the first broken promise. Returns how often each end was seen. */
async function soak(traits: PaperTraits, millis: number, seed: number): Promise<Record<string, number>> {
  const random = generator(seed)
  const fabric = new PaperFabric(traits)
  const transport = rdmaTransport(fabric.driver, { sliceBytes: 8192 })
  await using peer = await transport.open({ host: "127.0.0.1", rails: rails.theirs })
  await using own = await transport.open({ host: "127.0.0.1", rails: rails.ours })
  using there = hostMemory.map(bytes, "soak-there")
  using here = hostMemory.map(bytes, "soak-here")
  const content = randomBytes(bytes)
  there.view(0, bytes).set(content)
  const remote = [await peer.register(3, there, both)]
  await own.register(0, here, both)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  await peer.admit(session, both)
  const how = { deadline: performance.now() + 20_000, peerHost: "127.0.0.1", regions: remote }
  await using connection = await own.connect(session, peer.address, how)
  const wrong = remote.map((region) => ({ ...region, rkeys: region.rkeys.map((key) => key + 1) }))
  let end = performance.now() + millis
  const ends: Record<string, number> = {}
  const user = async (slot: number): Promise<void> => {
    while (performance.now() < end) {
      const name = await oneTransfer(connection, random(5) === 0 ? wrong : remote, slot, random)
      ends[name] = (ends[name] ?? 0) + 1
    }
  }
  const oneTransfer = async (
    over: Connection,
    descriptors: RegionDescriptor[],
    slot: number,
    draw: (below: number) => number,
  ): Promise<string> => {
    const target = here.view(slot * slotBytes, slotBytes)
    target.fill(poison)
    const { plan, places } = piecesOf(slot, draw)
    const abort = new AbortController()
    if (draw(5) === 0) setTimeout(() => abort.abort(), draw(8))
    const deadline = performance.now() + (draw(5) === 0 ? draw(10) : 20_000)
    try {
      const { signal } = abort
      const moved = await over.move({ direction: "read", plan, remote: descriptors, deadline, signal })
      const expected = Buffer.alloc(slotBytes, poison)
      for (const [offset, length] of places)
        expected.set(content.subarray(offset, offset + length), offset - slot * slotBytes)
      assert.equal(Buffer.compare(expected, target), 0, "what is delivered is right")
      assert.equal(
        moved.rails.reduce((sum, rail) => sum + rail.bytes, 0),
        plan.bytes,
      )
      assert.notEqual(descriptors, wrong, "a wrong key opens nothing")
      return "delivered"
    } catch (thrown) {
      if (!(thrown instanceof KvError) || !badEnds.includes(thrown.code)) throw thrown
      target.fill(0x77)
      await new Promise((resolve) => setTimeout(resolve, 15))
      assert.ok(
        target.every((byte) => byte === 0x77),
        `nothing lands after ${thrown.code}`,
      )
      return thrown.code
    }
  }
  const weather = async (): Promise<void> => {
    while (performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 30 + random(200)))
      // One link at a time: with all of them down a transfer may rightly fail.
      const rail = random(rails.ours + rails.theirs)
      fabric.cut(rail, random(60))
      await new Promise((resolve) => setTimeout(resolve, random(200)))
      fabric.cut(rail, -1)
    }
  }
  // The first broken promise ends it for all, and memory stays until nobody looks at it any more.
  const users = Array.from({ length: slots }, (_, slot) =>
    user(slot).catch((thrown: unknown) => {
      end = 0
      throw thrown
    }),
  )
  const results = await Promise.allSettled([...users, weather()])
  for (const result of results) if (result.status === "rejected") throw result.reason
  return ends
}

for (const [name, traits] of [
  ["an ordered fabric", { ordered: true, writesAreVisible: false }],
  ["one without order, in parts", { ordered: false, writesAreVisible: true, registrationBytes: 700_000 }],
] as const) {
  test(`${name}: what is delivered is right and nothing lands after an end, whatever links, users and keys do`, async (t) => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    t.diagnostic(`seed ${seed}`)
    const ends = await soak(traits, 4000, seed)
    t.diagnostic(JSON.stringify(ends))
    for (const end of ["delivered", "KV_RKEY_REJECTED"]) assert.ok((ends[end] ?? 0) > 0, `${end} was seen`)
  })
}

test("a NIC whose flushed requests land after the end of their lane is found", async () => {
  const traits = { ordered: true, writesAreVisible: false, mistake: "lands after its end" } as const
  await assert.rejects(soak(traits, 20_000, 7), /nothing lands after|what is delivered is right/)
})
