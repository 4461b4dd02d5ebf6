/**
 * Nothing leaks: thousands of requests whose readers die, stop, cancel and run out of time at random, and at the end
 * every block, lease, session and timer is where it was. `KVFERRY_LONG=1` makes it 10,000 and adds real processes.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fillRandom, lendBlocks, openSide, pullOf, type Side } from "../agent/agent.test.kit.ts"
import type { LeaseEnd } from "../agent/lease-state.ts"
import { openQuiet } from "../agent/quiet-agents.test.kit.ts"
import type { IntegrityLevel } from "../receipt/receipt.ts"
import { startAgent, until } from "./process.test.kit.ts"
import { betweenProcesses, long } from "./transports.test.kit.ts"

/** Numbers by lot that a seed decides, so that a failing run can be had again. */
function lot(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const fates = [
  "lives",
  "lives",
  "lives",
  "cancels",
  "expires",
  "dies",
  "is cut off",
  "never claims",
  "pushes",
] as const
type Fate = (typeof fates)[number]
const levels: readonly IntegrityLevel[] = ["none", "epoch", "sampled", "full"]

const requests = long ? 10_000 : 300
const seed = Number(process.env["KVFERRY_SEED"] ?? Math.floor(Math.random() * 2 ** 32))

test(`${requests} requests with random deaths leave nothing behind (KVFERRY_SEED=${seed})`, async () => {
  const random = lot(seed)
  const times = { holdMillis: 300 }
  const quiet = await openQuiet({
    source: { times, offers: { read: true, write: true } },
    target: { times },
  })
  const { source, clock, network } = quiet
  const shared = { transports: [quiet.transport], clock, network, times }
  fillRandom(source)
  const ends = new Map<LeaseEnd | "none", number>()
  const states = new Map<string, number>()
  let reader: Side = await openSide(shared)
  for (let request = 0; request < requests; request++) {
    const fate: Fate = fates[random(fates.length)]!
    const tokens = 1 + random(100)
    const access = fate === "pushes" ? "write" : "read"
    const lent = lendBlocks(source, tokens, { access, lifetimeMillis: 500 })
    if (fate !== "never claims") {
      const peer = await reader.agent.connect(quiet.address, 5000)
      const options = pullOf(lent.lease, tokens, reader, {
        integrity: levels[random(4)]!,
        timeoutMillis: fate === "expires" ? 1 + random(50) : 20_000,
      })
      const { into, ...rest } = options
      const ticket =
        fate === "pushes"
          ? reader.agent.push(peer, { ...rest, tokens, from: into })
          : reader.agent.pull(peer, options)
      // After a few turns a short transfer has been delivered: one at least is to be too late.
      const early = fate === "expires" && !states.has("expired")
      for (let turns = early ? 0 : random(6); turns > 0; turns--) await new Promise(setImmediate)
      if (fate === "cancels") ticket.cancel()
      else if (fate === "expires") clock.advance(100)
      else if (fate === "dies") await reader[Symbol.asyncDispose]()
      else if (fate === "is cut off") peer.close()
      const { state } = await ticket.receipt
      states.set(state, (states.get(state) ?? 0) + 1)
      if (fate === "dies") reader = await openSide(shared)
      else reader.pool.allocator.release(into)
    }
    // What is not given back by word comes back by time.
    for (let waits = 0; lent.ends.length === 0; waits++) {
      assert.ok(waits < 50, `request ${request} (${fate}) keeps its lease`)
      await quiet.pass(100)
    }
    assert.equal(lent.ends.length, 1)
    ends.set(lent.ends[0]!, (ends.get(lent.ends[0]!) ?? 0) + 1)
    assert.equal(source.pool.allocator.free, 32, `request ${request} (${fate}) keeps blocks`)
  }
  assert.equal(reader.pool.allocator.free, 32)
  await reader[Symbol.asyncDispose]()
  await quiet.target[Symbol.asyncDispose]()
  await quiet.settle()
  assert.deepEqual([source.agent.openLeases, source.agent.connections.callers], [0, 0])
  assert.equal(quiet.sessions.size, 0, "no session is left in a fabric")
  await source[Symbol.asyncDispose]()
  assert.equal(clock.waiting, 0, "no timer is left")
  for (const state of ["delivered", "cancelled", "failed", "expired"]) {
    assert.ok((states.get(state) ?? 0) > 0, `no ticket was ${state}: ${[...states].join(" ")}`)
  }
  for (const end of ["released", "landed", "expired", "peer lost"] as const) {
    assert.ok((ends.get(end) ?? 0) > 0, `no lease was ${end}: ${[...ends].join(" ")}`)
  }
})

for (const transport of betweenProcesses) {
  const deaths = long ? 40 : 1
  test(`${transport.name}: ${deaths} readers that die as real processes leave nothing behind`, async () => {
    const random = lot(seed)
    await using source = await openSide({ transports: [transport], times: { holdMillis: 300 } })
    const { port } = await source.agent.listen("127.0.0.1", 0)
    for (let death = 0; death < deaths; death++) {
      await using reader = await startAgent(transport.name)
      const leases = Array.from({ length: 5 }, () => {
        const tokens = 1 + random(90)
        return { tokens, ...lendBlocks(source, tokens) }
      })
      const pulls = leases.map(({ lease, tokens }) =>
        reader.ask("pull", `127.0.0.1:${port}`, lease, tokens, {}).catch(() => {}),
      )
      for (let served = random(4); served > 0; served--) await pulls[served]
      reader.signal("SIGKILL")
      await Promise.all(pulls)
      for (const { lease, ends } of leases)
        if (ends.length === 0 && random(2) === 0) source.agent.withdraw(lease)
      // Those that were never claimed are still on offer.
      await until(() => source.agent.connections.callers === 0, "the reader is forgotten")
      for (const { lease } of leases) source.agent.withdraw(lease)
      assert.deepEqual(
        leases.map(({ ends }) => ends.length),
        [1, 1, 1, 1, 1],
      )
      assert.deepEqual([source.agent.openLeases, source.pool.allocator.free], [0, 32])
    }
  })
}
