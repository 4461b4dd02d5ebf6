/** P2. Nothing hangs: a peer that stops, dies or leaves at any step; a deadline and a cancel at any step. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  fillRandom,
  lendBlocks,
  lendRandom,
  openPair,
  openSide,
  pullOf,
  type Side,
} from "../agent/agent.test.kit.ts"
import type { Ticket } from "../agent/ticket.ts"
import type { TicketEvent } from "../agent/ticket-state.ts"
import { KvError } from "../errors/kv-error.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import { plainHasher } from "../verify/hasher.ts"
import { startAgent, until } from "./process.test.kit.ts"
import { betweenProcesses, long, transports } from "./transports.test.kit.ts"

/** Where a ticket is when something happens: before its claim, at a step, and while its hashes are made. */
type Moment = "start" | TicketEvent | "hash"
const moments: readonly Moment[] = ["start", "grant", "post", "land", "hash"]

/** A target that lets something happen at a moment of its next ticket. */
async function openTarget(
  transport: (typeof transports)[number],
): Promise<Side & { at(moment: Moment, action: () => void): void }> {
  let planned: { moment: Moment; action: () => void } | undefined
  const reached = (moment: Moment): void => {
    if (planned?.moment !== moment) return
    const { action } = planned
    planned = undefined
    action()
  }
  const side = await openSide({
    transports: [transport],
    onStep: { ticket: (_from, event) => reached(event) },
    hasher: {
      hash(...what) {
        reached("hash")
        return plainHasher.hash(...what)
      },
    },
  })
  return Object.assign(side, {
    at: (moment: Moment, action: () => void) => {
      planned = { moment, action }
      reached("start")
    },
  })
}

const content = (side: Side, blocks: Uint32Array): string =>
  fingerprintBlocks({ ...side.pool, blocks, tokens: 40 }).join()

/** Waits for the end of a ticket, then looks whether its target stays as it is. */
async function assertStill(
  side: Side,
  ticket: Ticket,
  into: Uint32Array,
  disturb: () => void,
): Promise<string> {
  const receipt = await ticket.receipt
  const before = content(side, into)
  disturb()
  await new Promise((resolve) => setTimeout(resolve, 40))
  assert.equal(content(side, into), before, "the target was written after the ticket's end")
  side.pool.allocator.release(into)
  return receipt.state
}

for (const transport of betweenProcesses) {
  test(`${transport.name}: a peer that is stopped at any step costs the ticket its deadline, and no more; awake again, it serves`, async () => {
    await using target = await openTarget(transport)
    await using source = await startAgent(transport.name)
    const { port } = await source.ask<{ port: number }>("listen", 0)
    for (const moment of moments) {
      const peer = await target.agent.connect(`127.0.0.1:${port}`, 5000)
      const lease = await source.ask<string>("lend", 40)
      target.at(moment, () => source.signal("SIGSTOP"))
      const options = pullOf(lease, 40, target, { timeoutMillis: 250 })
      const started = performance.now()
      const ticket = target.agent.pull(peer, options)
      const state = await assertStill(target, ticket, options.into, () => source.signal("SIGCONT"))
      // What had its answers on the way before the signal was heard may still be delivered.
      assert.ok(state === "expired" || state === "delivered", `${moment}: ${state}`)
      if (moment === "start") assert.equal(state, "expired")
      assert.ok(performance.now() - started < 10_000)
      await until(
        async () => (await source.ask<{ leases: number }>("state")).leases === 0,
        "the lease comes back",
      )
    }
    const peer = await target.agent.connect(`127.0.0.1:${port}`, 5000)
    const lease = await source.ask<string>("lend", 40)
    assert.equal((await target.agent.pull(peer, pullOf(lease, 40, target)).receipt).state, "delivered")
  })

  test(`${transport.name}: a peer that is killed at any step ends the ticket long before its deadline`, async () => {
    await using target = await openTarget(transport)
    const some = long ? moments : (["start", "post", "hash"] as const)
    const sources = await Promise.all(some.map(() => startAgent(transport.name)))
    try {
      for (const [i, moment] of some.entries()) {
        const source = sources[i]!
        const { port } = await source.ask<{ port: number }>("listen", 0)
        const peer = await target.agent.connect(`127.0.0.1:${port}`, 5000)
        const lease = await source.ask<string>("lend", 40)
        target.at(moment, () => source.signal("SIGKILL"))
        const options = pullOf(lease, 40, target, { timeoutMillis: 60_000 })
        const ticket = target.agent.pull(peer, options)
        const state = await assertStill(target, ticket, options.into, () => {})
        // What was answered before the signal was heard may still be delivered.
        assert.ok(state === "failed" || state === "delivered", `${moment}: ${state}`)
        if (moment === "start") assert.equal(state, "failed")
        await until(() => target.agent.connections.peers === 0, "the peer is forgotten")
      }
      assert.equal(target.pool.allocator.free, 32)
    } finally {
      for (const source of sources) await source[Symbol.asyncDispose]()
    }
  })
}

for (const transport of transports) {
  test(`${transport.name}: a peer that is closed at any step ends the ticket long before its deadline`, async () => {
    await using target = await openTarget(transport)
    for (const moment of moments) {
      await using source = await openSide({ transports: [transport] })
      const { port } = await source.agent.listen("127.0.0.1", 0)
      const peer = await target.agent.connect(`127.0.0.1:${port}`, 5000)
      const { lease, ends } = lendRandom(source, 40)
      const closing: Promise<void>[] = []
      target.at(moment, () => void closing.push(source.agent[Symbol.asyncDispose]()))
      const options = pullOf(lease, 40, target, { timeoutMillis: 60_000 })
      const ticket = target.agent.pull(peer, options)
      const state = await assertStill(target, ticket, options.into, () => fillRandom(source))
      assert.ok(state === "failed" || state === "delivered", `${moment}: ${state}`)
      if (moment === "start") assert.equal(state, "failed")
      await Promise.all(closing)
      assert.equal(ends.length, 1, "its blocks are its own again")
      await until(() => target.agent.connections.peers === 0, "the peer is forgotten")
    }
  })

  test(`${transport.name}: a cancel at any step ends the ticket cancelled, gives the lease back, and harms nothing else`, async () => {
    await using pair = await openPair([transport])
    await using target = await openTarget(transport)
    const peer = await target.agent.connect(pair.address, 5000)
    for (const moment of moments) {
      const { lease, ends } = lendRandom(pair.source, 40)
      const abort = new AbortController()
      const options = pullOf(lease, 40, target, { signal: abort.signal })
      if (moment !== "start") target.at(moment, () => abort.abort())
      const ticket = target.agent.pull(peer, options)
      if (moment === "start") abort.abort()
      assert.equal(await assertStill(target, ticket, options.into, () => {}), "cancelled", moment)
      await until(() => ends.length > 0, "the lease comes back")
      assert.equal(peer.lost, undefined)
    }
    const { lease } = lendRandom(pair.source, 40)
    assert.equal((await target.agent.pull(peer, pullOf(lease, 40, target)).receipt).state, "delivered")
  })

  test(`${transport.name}: a deadline that has passed when the ticket begins is an end like any other`, async () => {
    await using pair = await openPair([transport])
    const peer = await pair.target.agent.connect(pair.address, 5000)
    for (const timeoutMillis of [0, -5]) {
      const { lease, ends } = lendRandom(pair.source, 40)
      const ticket = pair.target.agent.pull(peer, pullOf(lease, 40, pair.target, { timeoutMillis }))
      assert.equal((await ticket.receipt).state, "expired")
      await until(() => ends.length > 0, "the lease comes back")
    }
  })
}

test("a hasher that never comes back does not keep a ticket beyond its deadline", async () => {
  const hasher = { hash: () => new Promise<BigUint64Array>(() => {}) }
  await using pair = await openPair([transports[0]!], { target: { hasher } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const { lease } = lendRandom(pair.source, 40)
  const ticket = pair.target.agent.pull(peer, pullOf(lease, 40, pair.target, { timeoutMillis: 80 }))
  assert.deepEqual((await ticket.receipt).error?.code, "KV_DEADLINE")
})

test("an owner whose hasher never comes back does not keep a push beyond its deadline", async () => {
  const hasher = { hash: () => new Promise<BigUint64Array>(() => {}) }
  const offers = { read: true, write: true }
  await using pair = await openPair([transports[0]!], { source: { hasher, offers }, target: { offers } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const { lease } = lendBlocks(pair.source, 40, { access: "write" })
  const from = pair.target.pool.allocator.allocate(3)
  const began = performance.now()
  const push = { lease, from, tokens: 40, integrity: "full", timeoutMillis: 80 } as const
  const { state, error } = await pair.target.agent.push(peer, push).receipt
  assert.deepEqual([state, error?.code], ["expired", "KV_DEADLINE"])
  assert.ok(performance.now() - began < 5000)
})

test("an agent that is closed ends its tickets, its connecting and its peers, and does not wait for anybody", async () => {
  const { createServer } = await import("node:net")
  // Somebody who accepts and never says a word.
  const mute = createServer((socket) => socket.on("error", () => {}))
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve))
  const { port } = mute.address() as { port: number }
  const target = await openSide({ transports: [transports[1]!] })
  const first = target.agent.connect(`127.0.0.1:${port}`, 60_000)
  const second = target.agent.connect(`127.0.0.1:${port}`, 30)
  await assert.rejects(second, (error) => error instanceof KvError && error.code === "KV_DEADLINE")
  const ended = assert.rejects(first, (error) => error instanceof KvError && error.code === "KV_CANCELLED")
  await target[Symbol.asyncDispose]()
  await ended
  mute.close()
})
