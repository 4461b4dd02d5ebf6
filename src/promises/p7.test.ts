/** P7. Peers may die: readers that die, stop or are cut off; what they held comes back, and newcomers are served. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fillRandom, lendBlocks, lendRandom, openPair, openSide, pullOf } from "../agent/agent.test.kit.ts"
import type { TicketEvent } from "../agent/ticket-state.ts"
import { KvError } from "../errors/kv-error.ts"
import { tcpControlNetwork } from "../os/control-net.ts"
import { withEndpoints } from "./changed-endpoint.test.kit.ts"
import { cuttable } from "./cuttable.test.kit.ts"
import { type AgentProcess, type Pulled, startAgent, until } from "./process.test.kit.ts"
import { betweenProcesses, long, transports } from "./transports.test.kit.ts"

const times = { holdMillis: 150 }
const moments: readonly (TicketEvent | "hash")[] = long ? ["grant", "post", "land", "hash"] : ["post", "hash"]

/**
 * Listens on a port that nobody else is given meanwhile: not one of those that the system hands out for outgoing
 * connections, of this test's neighbours too.
 */
async function listenAgain(agent: AgentProcess): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    try {
      await agent.ask("listen", port)
      return port
    } catch (thrown) {
      if (tries === 20 || !String(thrown).includes("KV_PORT_IN_USE")) throw thrown
    }
  }
}

for (const transport of betweenProcesses) {
  test(`${transport.name}: a reader that is killed at any step: its blocks come back, and the others are served meanwhile`, async () => {
    await using source = await openSide({ transports: [transport] })
    const { port } = await source.agent.listen("127.0.0.1", 0)
    const address = `127.0.0.1:${port}`
    const [survivor, ...readers] = await Promise.all(
      ["survivor", ...moments].map(() => startAgent(transport.name)),
    )
    try {
      for (const [i, moment] of moments.entries()) {
        const dying = lendRandom(source, 40)
        const living = lendBlocks(source, 40)
        const killed = readers[i]!.ask("pull", address, dying.lease, 40, {}, moment, "SIGKILL").catch(
          () => "gone",
        )
        const served = survivor!.ask<Pulled>("pull", address, living.lease, 40, {})
        assert.equal(await killed, "gone")
        assert.equal((await served).state, "delivered", "another reader's ticket is unharmed")
        await until(() => dying.ends.length > 0, "the blocks come back")
        assert.deepEqual(dying.ends, ["peer lost"], `killed at ${moment}`)
      }
      await survivor!.ask("close")
      await until(() => source.agent.connections.callers === 0, "the callers are forgotten")
      assert.deepEqual([source.pool.allocator.free, source.agent.openLeases], [32, 0])
    } finally {
      for (const reader of [survivor!, ...readers]) await reader[Symbol.asyncDispose]()
    }
  })

  test(`${transport.name}: a reader that is stopped loses its lease; woken up after the blocks were reused, it does not deliver`, async () => {
    await using source = await openSide({ transports: [transport], times })
    const { port } = await source.agent.listen("127.0.0.1", 0)
    const address = `127.0.0.1:${port}`
    await using reader = await startAgent(transport.name, { times })
    for (const moment of moments) {
      for (const integrity of ["none", "epoch", "full"]) {
        const lent = lendRandom(source, 40)
        const pulled = reader.ask<Pulled>("pull", address, lent.lease, 40, { integrity }, moment, "SIGSTOP")
        // At a level without hashes this moment never comes.
        if (moment === "hash" && integrity !== "full") {
          assert.equal((await pulled).state, "delivered")
          continue
        }
        await until(() => lent.ends.length > 0, "the lease runs out")
        assert.ok(["expired", "peer lost"].includes(lent.ends[0]!), lent.ends[0])
        const next = lendBlocks(source, 40)
        fillRandom(source)
        reader.signal("SIGCONT")
        const { state, error } = await pulled
        assert.equal(state, "failed", `stopped at ${moment}, level ${integrity}`)
        assert.ok(
          ["KV_BLOCK_REUSED", "KV_LEASE_UNKNOWN", "KV_PEER_LOST"].includes(error?.code ?? ""),
          `${error?.code}: ${error?.what}`,
        )
        source.agent.withdraw(next.lease)
      }
    }
    const last = lendRandom(source, 40)
    assert.equal((await reader.ask<Pulled>("pull", address, last.lease, 40, {})).state, "delivered")
  })

  test(`${transport.name}: a source that is killed and started again at its address serves, without a restart here`, async () => {
    await using target = await openSide({ transports: [transport] })
    const [first, second] = await Promise.all([startAgent(transport.name), startAgent(transport.name)])
    try {
      const port = await listenAgain(first)
      const address = `127.0.0.1:${port}`
      const peer = await target.agent.connect(address, 5000)
      const lease = await first.ask<string>("lend", 40)
      const held = await target.agent.claim(peer, lease, { deadline: performance.now() + 5000 })
      first.signal("SIGKILL")
      await until(() => peer.lost !== undefined, "the death is noticed")
      assert.equal(held.inForce, false)
      await second.ask("listen", port)
      const again = await target.agent.connect(address, 5000)
      const fresh = await second.ask<string>("lend", 40)
      assert.equal((await target.agent.pull(again, pullOf(fresh, 40, target)).receipt).state, "delivered")
    } finally {
      await first[Symbol.asyncDispose]()
      await second[Symbol.asyncDispose]()
    }
  })
}

test("a connection to write that did not come about once is made at the next write", async () => {
  let connects = 0
  const failing = withEndpoints(transports[0]!, (inner) => ({
    connect(...how) {
      connects += 1
      // The first is the one to read over.
      if (connects === 2 || connects === 3)
        return Promise.reject(new KvError("KV_PEER_UNREACHABLE", { what: "nobody answers for a moment" }))
      return inner.connect(...how)
    },
  }))
  await using pair = await openPair([transports[0]!], {
    source: { offers: { read: true, write: true } },
    target: { transports: [failing] },
  })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const from = pair.target.pool.allocator.allocate(3)
  for (const state of ["failed", "failed", "delivered", "delivered"]) {
    const { lease } = lendBlocks(pair.source, 40, { access: "write" })
    const receipt = await pair.target.agent.push(peer, { lease, from, tokens: 40 }).receipt
    assert.equal(receipt.state, state, JSON.stringify(receipt.error))
  }
})

test("a reader that lives on and never gives back: its lease ends when the owner's longest time is over, and it knows", async () => {
  const longest = { holdMillis: 300, holdMillisMax: 900 }
  await using pair = await openPair([transports[0]!], { source: { times: longest }, target: { times } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const { lease, ends } = lendRandom(pair.source, 40)
  const began = performance.now()
  const held = await pair.target.agent.claim(peer, lease, { deadline: performance.now() + 5000 })
  const into = pair.target.pool.allocator.allocate(3)
  await using read = pair.target.agent.prepareRead({ lease: held, into, integrity: "none" })
  await until(() => ends.length > 0, "the lease ends")
  assert.deepEqual(ends, ["expired"])
  assert.ok(performance.now() - began >= longest.holdMillisMax - 5, "not before")
  assert.equal(peer.lost, undefined, "nobody was lost")
  await until(() => !held.inForce, "its holder is told")
  assert.equal((await read.post().receipt).error?.code, "KV_LEASE_UNKNOWN")
  const next = lendRandom(pair.source, 40)
  const again = pullOf(next.lease, 40, pair.target)
  assert.equal((await pair.target.agent.pull(peer, again).receipt).state, "delivered")
})

for (const transport of transports) {
  test(`${transport.name}: a link that is cut without a word is noticed on both sides within their silence, and a new one works`, async () => {
    const link = cuttable(tcpControlNetwork)
    await using pair = await openPair([transport], {
      source: { times },
      target: { times, network: link.network },
    })
    await using other = await openSide({ transports: [transport], times })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    const unharmed = await other.agent.connect(pair.address, 5000)
    const { lease, ends } = lendRandom(pair.source, 40)
    const held = await pair.target.agent.claim(peer, lease, { deadline: performance.now() + 5000 })
    await new Promise((resolve) => setTimeout(resolve, 400))
    assert.deepEqual([ends, held.inForce], [[], true], "while the link is there the lease lives on")
    link.cut()
    await until(() => ends.length > 0 && peer.lost !== undefined, "both sides notice")
    assert.equal(peer.lost?.code, "KV_PEER_LOST")
    assert.equal(held.inForce, false)
    await until(() => pair.source.agent.connections.callers === 1, "the caller is forgotten")
    assert.equal(pair.source.pool.allocator.free, 32)
    link.mend()
    const again = await pair.target.agent.connect(pair.address, 5000)
    const next = lendRandom(pair.source, 40)
    assert.equal(
      (await pair.target.agent.pull(again, pullOf(next.lease, 40, pair.target)).receipt).state,
      "delivered",
    )
    const last = lendRandom(pair.source, 40)
    assert.equal((await other.agent.pull(unharmed, pullOf(last.lease, 40, other)).receipt).state, "delivered")
  })
}
