/** P2. Nothing hangs: also when the library below does. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { lendBlocks, lendRandom, openPair, pullOf } from "../agent/agent.test.kit.ts"
import { TicketFailed } from "../agent/ticket.ts"
import { PaperFabric } from "../transport/rdma/paper-fabric.test.kit.ts"
import { rdmaTransport } from "../transport/rdma/rdma-transport.ts"
import { until } from "./process.test.kit.ts"

test("a library that does not come back costs a ticket its deadline and little more, and the receipt says what of its memory", async () => {
  const fabric = new PaperFabric({ ordered: false, writesAreVisible: true })
  const pair = await openPair([rdmaTransport(fabric.driver)])
  const { source, target, address } = pair
  const peer = await target.agent.connect(address, 5000)
  const good = target.agent.pull(peer, pullOf(lendRandom(source, 40).lease, 40, target))
  assert.equal((await good.receipt).state, "delivered")

  fabric.hang(1, "untilFreed")
  const began = performance.now()
  const stuck = target.agent.pull(
    peer,
    pullOf(lendRandom(source, 40).lease, 40, target, { timeoutMillis: 500 }),
  )
  const { state, error } = await stuck.receipt
  assert.ok(performance.now() - began < 4500, `${performance.now() - began} ms`)
  assert.equal(state, "failed")
  assert.equal(error?.code, "KV_TRANSPORT_UNAVAILABLE")
  assert.equal(error.mayStillWrite, true)
  const thrown: unknown = await stuck.done.catch((failed: unknown) => failed)
  assert.ok(thrown instanceof TicketFailed && thrown.mayStillWrite)

  // The next one is refused before it has a memory to spoil.
  const later = performance.now()
  const next = target.agent
    .connect(address, 2000)
    .then(
      (again) =>
        target.agent.pull(again, pullOf(lendRandom(source, 40).lease, 40, target, { timeoutMillis: 2000 }))
          .done,
    )
  const refused: unknown = await next.catch((failed: unknown) => failed)
  assert.match(String(refused), /has not come back|no allowed path/)
  assert.ok(!(refused instanceof TicketFailed && refused.mayStillWrite))
  assert.ok(performance.now() - later < 4500)
  const closing = performance.now()
  await pair[Symbol.asyncDispose]()
  assert.ok(performance.now() - closing < 6000)
  fabric.hang(1, "no")
})

test("blocks that were lent for writing do not come back while the owner's own library is stuck", async () => {
  const fabric = new PaperFabric({ ordered: false, writesAreVisible: true })
  const offers = { read: true, write: true }
  const warnings: string[] = []
  const onWarning = (warning: string): void => void warnings.push(warning)
  const pair = await openPair([rdmaTransport(fabric.driver)], {
    source: { offers, onWarning },
    target: { offers },
  })
  const { source, target, address } = pair
  const peer = await target.agent.connect(address, 5000)
  const from = target.pool.allocator.allocate(3)
  const quiet = lendBlocks(source, 40, { access: "write" })
  const push = (lease: string, timeoutMillis: number) =>
    target.agent.push(peer, { requestId: "r", trace: "t", lease, from, tokens: 40, timeoutMillis })
  assert.equal((await push(quiet.lease, 10_000).receipt).state, "delivered")
  assert.deepEqual(quiet.ends, ["landed"])

  const held = lendBlocks(source, 40, { access: "write" })
  for (const rail of [0, 1]) fabric.hang(rail, "untilFreed")
  const pushing = push(held.lease, 10_000)
  await until(() => pushing.state === "posted", "the push")
  assert.ok(source.agent.withdraw(held.lease))
  await pushing.receipt
  await until(() => warnings.some((warning) => warning.includes("has not come back")), "a warning")
  assert.deepEqual(held.ends, [], "nobody can say that nothing of it is written any more")
  await pair[Symbol.asyncDispose]()
  for (const rail of [0, 1]) fabric.hang(rail, "no")
})
