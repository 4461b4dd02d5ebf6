import assert from "node:assert/strict"
import { test } from "node:test"
import { AssertionFailed } from "../errors/assert.ts"
import { KvError } from "../errors/kv-error.ts"
import { runInChild } from "../os/child.test.kit.ts"
import { receiptSchema, type TransferReceipt } from "../receipt/receipt.ts"
import { FakeClock } from "./in-memory.test.kit.ts"
import { isKv } from "./scripted.test.kit.ts"
import { Ticket, type TicketFacts, TicketFailed, type TicketOptions, type TicketRun } from "./ticket.ts"
import type { TicketEvent } from "./ticket-state.ts"

function start(
  body: (run: TicketRun, clock: FakeClock) => Promise<void>,
  options: TicketOptions = {},
  facts: Partial<TicketFacts> = {},
) {
  const clock = new FakeClock()
  const steps: string[] = []
  const told: TransferReceipt[] = []
  const ticket = new Ticket(
    {
      id: "00".repeat(8),
      clock,
      source: { pid: 1, agentId: "theirs", bootId: "11".repeat(16) },
      target: { pid: 2, agentId: "ours", bootId: "22".repeat(16) },
      transport: "imaginary",
      why: "imaginary: for a test",
      direction: "read",
      mode: "copy",
      level: "full",
      layers: 2,
      blockTokens: 16,
      onStep: (_from, event) => void steps.push(event),
      onEnd: (receipt) => void told.push(receipt),
      ...facts,
    },
    options,
    (run) => body(run, clock),
  )
  return { ticket, clock, steps, told }
}

const forward: readonly TicketEvent[] = ["grant", "post", "land", "prove"]

test("a transfer that takes every step is delivered, and its receipt has the time of each", async () => {
  const { ticket, told, steps } = start(
    async (run, clock) => {
      run.tokens = 20
      clock.advance(1)
      run.step("grant")
      clock.advance(2)
      run.pieces = 4
      run.bytes = 1000
      run.planned()
      clock.advance(3)
      run.step("post")
      clock.advance(4)
      run.rails = [{ rail: 0, bytes: 1000 }]
      run.step("land")
      clock.advance(5)
      run.hashesChecked = 4
      run.epochsChecked = 2
      run.step("prove")
    },
    { requestId: "r-1", trace: "t-1" },
  )
  const receipt = await ticket.done
  assert.deepEqual(receipt.micros, {
    grant: 1000,
    plan: 2000,
    post: 3000,
    move: 4000,
    prove: 5000,
    total: 15_000,
  })
  assert.deepEqual([receipt.schema, receipt.state, receipt.blocks], [receiptSchema, "delivered", 2])
  assert.deepEqual([receipt.requestId, receipt.trace, receipt.bytesPerSecond], ["r-1", "t-1", 250_000])
  assert.deepEqual(receipt.integrity, { level: "full", checked: 4, epochs: 2, verdict: "identical" })
  assert.equal(receipt.error, undefined)
  assert.deepEqual(steps, [...forward, "deliver"])
  assert.deepEqual(told, [receipt], "whoever keeps a log hears of the end once")
  assert.deepEqual(JSON.parse(JSON.stringify(receipt)), receipt)
})

const ends = { KV_CANCELLED: "cancelled", KV_DEADLINE: "expired", KV_PEER_LOST: "failed" } as const

for (const [code, state] of Object.entries(ends) as [keyof typeof ends, string][]) {
  test(`${code} ends a transfer ${state}, from whatever state it is in`, async () => {
    for (let taken = 0; taken <= forward.length; taken++) {
      const { ticket, told } = start(async (run) => {
        run.bytes = 77
        for (const event of forward.slice(0, taken)) run.step(event)
        throw new KvError(code, { what: "on purpose", why: "a test", next: "nothing" })
      })
      const receipt = await ticket.receipt
      assert.deepEqual([receipt.state, ticket.state], [state, state])
      assert.deepEqual(receipt.error, { code, what: "on purpose", why: "a test", next: "nothing" })
      assert.equal(receipt.bytes, taken < 3 ? 0 : 77, "bytes count once they have landed")
      assert.equal(told.length, 1)
      await assert.rejects(ticket.done, (thrown) => {
        assert.ok(thrown instanceof TicketFailed && isKv(code)(thrown))
        assert.equal(thrown.receipt, receipt)
        return true
      })
    }
  })
}

test("a body that stops short is our mistake: the transfer fails, and is not delivered", async () => {
  for (let taken = 0; taken < forward.length; taken++) {
    const { ticket } = start(async (run) => {
      for (const event of forward.slice(0, taken)) run.step(event)
    })
    const receipt = await ticket.receipt
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_INTERNAL"])
  }
})

test("an error that is none of ours becomes one, and the receipt still does not reject", async () => {
  const { ticket } = start(() => Promise.reject(new TypeError("undefined is not a function")))
  const receipt = await ticket.receipt
  assert.equal(receipt.error?.code, "KV_INTERNAL")
  assert.match(receipt.error?.why ?? "", /undefined is not a function/)
})

test("a body that throws at once is an end like any other", async () => {
  const { ticket } = start(() => {
    throw new AssertionFailed("at once")
  })
  assert.equal((await ticket.receipt).state, "failed")
})

test("a transfer that was cancelled before it began does nothing", async () => {
  let began = false
  const { ticket } = start(
    async () => {
      began = true
    },
    { signal: AbortSignal.abort() },
  )
  assert.equal((await ticket.receipt).state, "cancelled")
  assert.equal(began, false)
})

test("cancel() and the caller's signal both reach the body", async () => {
  for (const how of ["cancel", "signal"] as const) {
    const abort = new AbortController()
    const { ticket } = start(
      (run) =>
        new Promise((_, reject) =>
          run.signal.addEventListener("abort", () => reject(new KvError("KV_CANCELLED", { what: "heard" }))),
        ),
      { signal: abort.signal },
    )
    if (how === "cancel") ticket.cancel()
    else abort.abort()
    assert.equal((await ticket.receipt).state, "cancelled")
    ticket.cancel()
  }
})

test("the deadline is the caller's, or half a minute", async () => {
  const deadlines: number[] = []
  for (const options of [{ timeoutMillis: 70 }, {}]) {
    const { ticket } = start(async (run) => void deadlines.push(run.deadline), options)
    await ticket.receipt
  }
  assert.deepEqual(deadlines, [1070, 31_000])
})

test("progress tells the state, and bytes as they land: none before the move, all after it", async () => {
  const turns: (() => void)[] = []
  const turn = (): Promise<void> => new Promise((resolve) => void turns.push(resolve))
  let landed = 0
  const { ticket } = start(async (run) => {
    run.step("grant")
    run.bytes = 100
    await turn()
    run.move = { landed: () => landed }
    run.step("post")
    await turn()
    run.step("land")
    await turn()
  })
  const seen: unknown[] = []
  const look = (): void => {
    const { state, bytes } = ticket.progress
    seen.push([state, bytes])
  }
  look()
  turns.shift()!()
  await Promise.resolve()
  look()
  landed = 40
  look()
  turns.shift()!()
  await Promise.resolve()
  landed = 0
  look()
  assert.deepEqual(seen, [
    ["granted", 0],
    ["posted", 0],
    ["posted", 40],
    ["moved", 100],
  ])
  assert.equal(ticket.progress.bytesTotal, 100)
  turns.shift()!()
  await ticket.receipt
  assert.equal(ticket.progress.state, "failed")
})

test("a log that breaks does not take the receipt with it, and is not kept quiet either", async () => {
  const { stdout, code } = await runInChild(`
    const { Ticket } = await ours("agent/ticket.js")
    const { monotonicClock } = await ours("os/clock.js")
    process.once("uncaughtException", (error) => console.log("uncaught:", error.message))
    const onEnd = () => {
      throw new Error("the disk is full")
    }
    const ticket = new Ticket({ id: "0", clock: monotonicClock, onEnd }, {}, async (run) => {
      for (const event of ["grant", "post", "land", "prove"]) run.step(event)
    })
    console.log((await ticket.receipt).state)
  `)
  assert.deepEqual(stdout.trim().split("\n").sort(), ["delivered", "uncaught: the disk is full"])
  assert.equal(code, 0)
})

test("each finding has its verdict", async () => {
  const verdicts: [Partial<TicketRun>, string][] = [
    [{}, "unchecked"],
    [{ epochsChecked: 2 }, "current"],
    [{ epochsChecked: 2, hashesChecked: 4 }, "identical"],
    [{ epochsChecked: 2, hashesChecked: 4, difference: { layer: 1, block: 0 } }, "different"],
    [{ epochsChecked: 2, reused: true }, "reused"],
  ]
  for (const [found, verdict] of verdicts) {
    const { ticket } = start(async (run) => void Object.assign(run, found))
    assert.equal((await ticket.receipt).integrity.verdict, verdict)
  }
})

test("a rail that is a NIC is named in the receipt, with the flags that regions have there at the end", async () => {
  let flags = "none"
  const describe = () =>
    ["mlx5_0", "mlx5_1"].map((device, rail) => ({ rail, device, registered: flags, facts: { gid: "3" } }))
  const body = async (run: TicketRun): Promise<void> => {
    for (const event of forward) run.step(event)
    run.rails = [
      { rail: 1, bytes: 7 },
      { rail: 2, bytes: 1 },
    ]
    flags = "local write | relaxed ordering"
  }
  const receipt = await start(body, {}, { describe }).ticket.done
  assert.deepEqual(receipt.path.rails, [
    { rail: 1, bytes: 7, device: "mlx5_1", registered: "local write | relaxed ordering" },
    { rail: 2, bytes: 1 },
  ])
})
