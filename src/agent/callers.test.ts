import assert from "node:assert/strict"
import { test } from "node:test"
import type { Endpoint, Rights } from "../transport/transport.ts"
import type { ControlMessage } from "../wire/control-messages.ts"
import type { Notice } from "./caller.ts"
import { Callers } from "./callers.ts"
import { cardOf, endpointOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { systemEntropy } from "./entropy.ts"
import { greetAsCaller } from "./greet.ts"
import { delivered, FakeClock, openPipe } from "./in-memory.test.kit.ts"
import { identityNamed, keysOf, Trusted } from "./keys.test.kit.ts"
import { LeaseBook } from "./lease-book.ts"
import type { LocalCache } from "./local-cache.ts"

const times = { holdMillis: 1e9, holdMillisMax: 1e9, handshakeMillis: 500, grantMillis: 1000 }

/** A side that serves callers whose keys it trusts, over an imaginary fabric. */
function serve(offers: Rights = { read: true, write: true }) {
  const clock = new FakeClock()
  const trust = new Trusted()
  const admitted: Rights[] = []
  const dismissed: string[] = []
  const warnings: string[] = []
  const notices: Notice[] = []
  const endpoint = {
    transport: "imaginary",
    admit: async (_: unknown, rights: Rights) => void admitted.push(rights),
    dismiss: async (id: string) => void dismissed.push(id),
  } as unknown as Endpoint
  // Two layers, and the stamps behind them.
  const regions = [...endpointOf.regions, { region: 2, length: 64, rkeys: [3], iova: 0 }]
  const callers = new Callers({
    card: cardOf("ours"),
    cards: [{ ...endpointOf, regions }],
    credentials: { identity: identityNamed("ours"), trust },
    offers,
    endpoints: [endpoint],
    clock,
    entropy: systemEntropy,
    cache: { clock } as unknown as LocalCache,
    leases: new LeaseBook({ clock, times, fence: async () => true }),
    epochOf: () => 0,
    times,
    onNotice: (notice) => notices.push(notice),
    onWarning: (text) => warnings.push(text),
  })
  /** Somebody calls. */
  const call = async (name: string) => {
    const [end, other] = openPipe()
    void callers.serve(other)
    const channel = new MessageChannel(end)
    const greeting = { card: cardOf(name), credentials: keysOf(name, "ours"), clock, timeoutMillis: 500 }
    const greeted = await greetAsCaller(channel, greeting)
    const heard: ControlMessage[] = []
    channel.listen(
      ({ message }) => heard.push(message),
      () => {},
    )
    await delivered()
    let number = 0
    const ask = async (direction: "read" | "write"): Promise<ControlMessage | undefined> => {
      const asked = ++number
      channel.send({ type: "ask-grant", call: asked, direction })
      await delivered()
      return heard.find((message) => "call" in message && (message.call === asked || message.call === 0))
    }
    return { ask, heard, greeted, end, channel }
  }
  return { notices, clock, trust, admitted, dismissed, warnings, callers, call }
}

const regionsOf = (answer: ControlMessage | undefined): readonly number[] => {
  assert.equal(answer?.type, "grant", JSON.stringify(answer))
  return answer?.type === "grant" ? answer.grant.regions : []
}

test("a session has no rights before it asks, and then those that file, policy and region allow", async () => {
  const { trust, admitted, call } = serve()
  trust.add("theirs", { may: { read: true, write: true } })
  const { ask } = await call("theirs")
  assert.deepEqual(admitted, [])
  assert.deepEqual(regionsOf(await ask("read")), [0, 1, 2])
  assert.deepEqual(regionsOf(await ask("write")), [0, 1], "the stamps are there to be read")
  assert.deepEqual(admitted, [
    { read: true, write: false },
    { read: true, write: true },
  ])
  const other = serve({ read: true, write: false })
  other.trust.add("theirs", { may: { read: true, write: true } })
  const caller = await other.call("theirs")
  assert.equal((await caller.ask("write"))?.type, "refused")
  assert.deepEqual(other.admitted, [])
})

test("a notice has our operator's name for the sender's key beside what the sender calls itself", async () => {
  const { trust, call, notices } = serve()
  trust.add("theirs", { name: "decode-1" })
  const { channel } = await call("theirs")
  channel.send({ type: "notify", text: "hello" })
  await delivered()
  assert.deepEqual(
    notices.map(({ from, name }) => [from, name]),
    [["theirs", "decode-1"]],
  )
})

test("a key that is withdrawn ends its session at its next question for a grant; the caller is not told our reasons", async () => {
  const { trust, call, dismissed, warnings } = serve()
  trust.add("theirs")
  const { ask, greeted, end } = await call("theirs")
  regionsOf(await ask("read"))
  trust.entries.clear()
  const answer = await ask("read")
  await delivered()
  assert.equal(answer?.type === "refused" ? answer.error.code : "", "KV_PEER_UNTRUSTED")
  assert.equal(JSON.stringify(answer).includes("the test's list"), false)
  assert.equal(end.closed, true)
  assert.deepEqual(dismissed, [greeted.session.id])
  assert.match(warnings[0] ?? "", /a session was ended: .*the test's list does not list it/)
})

test("a session whose caller does not ask again ends with its grant, though its channel lives", async () => {
  const { trust, call, clock, dismissed } = serve()
  trust.add("theirs")
  const caller = await call("theirs")
  regionsOf(await caller.ask("read"))
  trust.entries.clear()
  clock.advance(999)
  await delivered()
  assert.equal(caller.end.closed, false)
  clock.advance(1)
  await delivered()
  assert.equal(caller.end.closed, true)
  assert.equal(dismissed.length, 1)
})

test("a right that is not renewed ends the session: asking for reads again does not keep a withdrawn write alive", async () => {
  const { trust, call, clock } = serve()
  trust.add("theirs", { may: { read: true, write: true } })
  const { ask, end } = await call("theirs")
  regionsOf(await ask("write"))
  trust.add("theirs", { may: { read: true, write: false } })
  for (let round = 0; round < 3; round++) {
    clock.advance(300)
    regionsOf(await ask("read"))
  }
  assert.equal((await ask("write"))?.type, "refused")
  assert.equal(end.closed, false)
  clock.advance(100)
  await delivered()
  assert.equal(end.closed, true)
})

test("grants that are renewed in time keep a session, for as long as its entry lasts", async () => {
  const { trust, call, clock } = serve()
  trust.add("theirs", { until: clock.wallMillis() + 2500 })
  const { ask, end } = await call("theirs")
  for (let round = 0; round < 4; round++) {
    regionsOf(await ask("read"))
    clock.advance(600)
    await delivered()
    assert.equal(end.closed, false)
  }
  const last = await ask("read")
  assert.equal(last?.type, "grant")
  clock.advance(100)
  await delivered()
  assert.equal(end.closed, true, "a grant does not outlive its entry")
})

test("our people hear who was not let in and why: once a second, with a count of the rest", async () => {
  const { call, warnings, clock } = serve()
  for (let round = 0; round < 5; round++) await assert.rejects(call("stranger"))
  await delivered()
  const { publicKey } = identityNamed("stranger")
  assert.equal(warnings.length, 1)
  assert.ok(warnings[0]?.startsWith("a caller was not let in: ") && warnings[0].includes(publicKey))
  clock.advance(1000)
  await assert.rejects(call("stranger"))
  await delivered()
  assert.match(warnings[1] ?? "", /and 4 more callers since the last such warning/)
})
