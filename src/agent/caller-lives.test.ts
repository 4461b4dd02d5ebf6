import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { Transport } from "../transport/transport.ts"
import { encodeFrame } from "../wire/control-frame.ts"
import { clusterSecret, lendBlocks, lendRandom, pullOf } from "./agent.test.kit.ts"
import type { Notice } from "./caller.ts"
import { callersMax } from "./callers.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { greetAsCaller } from "./greet.ts"
import type { PipeEnd } from "./in-memory.test.kit.ts"
import { countedLoopback, openQuiet, type Quiet } from "./quiet-agents.test.kit.ts"
import { isKv } from "./scripted.test.kit.ts"

const soon = ({ clock }: Quiet) => ({ deadline: clock.now() + 5000 })

/** A caller that the test plays from the end of its handshake on. */
async function greet(quiet: Quiet) {
  const end = (await quiet.network.connect("memory", 1)) as PipeEnd
  const channel = new MessageChannel(end)
  const greeting = greetAsCaller(channel, {
    card: { ...cardOf("scripted"), layout: quiet.source.agent.card.layout },
    credentials: { secret: clusterSecret },
    clock: quiet.clock,
    timeoutMillis: 1000,
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
  })
  const { session } = await greeting
  const heard: unknown[] = []
  let why: KvError | undefined
  channel.listen(
    ({ message }) => heard.push(message),
    (error) => {
      why = error
    },
  )
  return { end, channel, session, heard, why: () => why }
}

test("a caller has no right before it has asked, and only what it asked for", async () => {
  await using quiet = await openQuiet({ source: { offers: { read: true, write: true } } })
  const { channel, session } = await greet(quiet)
  await quiet.settle()
  assert.equal(quiet.sessions.get(session.id), undefined)
  channel.send({ type: "ask-grant", call: 1, direction: "read" })
  await quiet.settle()
  assert.deepEqual(quiet.sessions.get(session.id), { read: true, write: false })
  channel.send({ type: "ask-grant", call: 2, direction: "write" })
  await quiet.settle()
  assert.deepEqual(quiet.sessions.get(session.id), { read: true, write: true })
})

test("a grant that nobody renews ends the session when it expires, and nothing of it is left", async () => {
  await using quiet = await openQuiet({ source: { times: { grantMillis: 400 } } })
  const { channel, why } = await greet(quiet)
  const { lease, ends } = lendRandom(quiet.source, 40)
  channel.send({ type: "ask-grant", call: 1, direction: "read" })
  channel.send({ type: "claim", call: 2, lease })
  await quiet.settle()
  await quiet.pass(399)
  assert.equal(quiet.sessions.size, 1)
  await quiet.pass(1)
  assert.equal(quiet.sessions.size, 0)
  assert.equal(why()?.code, "KV_PEER_LOST")
  assert.deepEqual(ends, ["peer lost"])
  assert.equal(quiet.source.agent.connections.callers, 0)
})

test("to renew one direction is not to renew the other", async () => {
  await using quiet = await openQuiet({
    source: { offers: { read: true, write: true }, times: { grantMillis: 400 } },
  })
  const { channel } = await greet(quiet)
  channel.send({ type: "ask-grant", call: 1, direction: "write" })
  for (let call = 2; call < 5; call++) {
    channel.send({ type: "ask-grant", call, direction: "read" })
    await quiet.settle()
    assert.equal(quiet.sessions.size, 1)
    await quiet.pass(130)
  }
  await quiet.pass(10)
  assert.equal(quiet.sessions.size, 0, "the grant to write was over after 400 ms")
})

test("two agents that live keep their grants for as long as they like", async () => {
  const times = { holdMillis: 300, grantMillis: 1000 }
  await using quiet = await openQuiet({ source: { times }, target: { times } })
  const peer = await quiet.target.agent.connect(quiet.address, 5000)
  await quiet.pass(10_000, 50)
  assert.equal(peer.lost, undefined)
  const { lease } = lendRandom(quiet.source, 40)
  const ticket = quiet.target.agent.pull(peer, pullOf(lease, 40, quiet.target))
  assert.equal((await ticket.receipt).state, "delivered")
})

test("what a caller says behind the message that ended it counts for nothing", async () => {
  await using quiet = await openQuiet()
  const { end, session } = await greet(quiet)
  const { lease, ends } = lendRandom(quiet.source, 40)
  const frames = [
    { type: "released", call: 9 },
    { type: "ask-grant", call: 1, direction: "read" },
    { type: "claim", call: 2, lease },
  ].map((body) => encodeFrame({ body }))
  // All in one chunk: they are read together.
  end.send(Buffer.concat(frames))
  await quiet.settle()
  assert.equal(quiet.sessions.get(session.id), undefined, "no session is left in a fabric")
  assert.deepEqual(ends, [])
  assert.equal(quiet.source.agent.connections.callers, 0)
  const waiting = quiet.clock.waiting
  quiet.source.agent.withdraw(lease)
  assert.equal(quiet.clock.waiting, waiting - 1)
  assert.equal(quiet.clock.waiting, 0, "no timer is left")
})

test("a caller that is gone leaves no timer behind, whenever it went", async () => {
  await using quiet = await openQuiet()
  for (let turns = 0; turns < 12; turns++) {
    const end = (await quiet.network.connect("memory", 1)) as PipeEnd
    const channel = new MessageChannel(end)
    const greeting = greetAsCaller(channel, {
      card: { ...cardOf("scripted"), layout: quiet.source.agent.card.layout },
      credentials: { secret: clusterSecret },
      clock: quiet.clock,
      timeoutMillis: 1000,
      random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    }).catch(() => {})
    for (let turn = 0; turn < turns; turn++) await Promise.resolve()
    channel.close()
    await greeting
    await quiet.settle()
    assert.deepEqual([quiet.clock.waiting, quiet.sessions.size], [0, 0], `gone after ${turns} turns`)
  }
})

test("a caller that asks for a grant and goes in the same breath leaves no session", async () => {
  const gate: (() => void)[] = []
  const { transport, sessions } = countedLoopback()
  const slow: Transport = {
    name: "loopback",
    async open(options) {
      const inner = await transport.open(options)
      const admit: typeof inner.admit = async (session, rights) => {
        await inner.admit(session, rights)
        await new Promise<void>((resolve) => gate.push(resolve))
      }
      const { rails, address } = inner
      return {
        transport: "loopback",
        rails,
        address,
        admit,
        register: (...region) => inner.register(...region),
        deregister: (region) => inner.deregister(region),
        dismiss: (id) => inner.dismiss(id),
        reaches: (to) => inner.reaches(to),
        connect: (...how) => inner.connect(...how),
        [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
      }
    },
  }
  await using quiet = await openQuiet({ source: { transports: [slow] } })
  const { channel } = await greet(quiet)
  channel.send({ type: "ask-grant", call: 1, direction: "read" })
  await quiet.settle()
  channel.close()
  await quiet.settle()
  for (const open of gate) open()
  await quiet.settle()
  assert.deepEqual([sessions.size, quiet.clock.waiting], [0, 0])
})

test("a silent caller is taken for dead after three hold times, and its blocks come back", async () => {
  await using quiet = await openQuiet({ source: { times: { holdMillis: 100 } } })
  const { channel, end } = await greet(quiet)
  const { lease, ends } = lendRandom(quiet.source, 40)
  channel.send({ type: "claim", call: 1, lease })
  await quiet.settle()
  await quiet.pass(100, 10)
  assert.deepEqual(ends, ["expired"], "its lease was over before")
  assert.equal(end.closed, false)
  await quiet.pass(199, 10)
  assert.equal(end.closed, false)
  await quiet.pass(1)
  assert.equal(end.closed, true)
  assert.equal(quiet.source.agent.connections.callers, 0)
})

test("a writer that no fabric can stop keeps its blocks for good; what it read comes back", async () => {
  const { transport } = countedLoopback()
  const stuck: Transport = {
    name: "loopback",
    async open(options) {
      const inner = await transport.open(options)
      return Object.assign(Object.create(inner) as typeof inner, {
        dismiss: () => Promise.reject(new KvError("KV_PEER_LOST", { what: "a mapping was not given back" })),
      })
    },
  }
  await using quiet = await openQuiet({
    source: { transports: [stuck], offers: { read: true, write: true } },
  })
  const { channel } = await greet(quiet)
  const [read, write, fenced] = [
    lendBlocks(quiet.source, 40),
    lendBlocks(quiet.source, 40, { access: "write" }),
    lendBlocks(quiet.source, 40, { access: "write" }),
  ]
  for (const [i, { lease }] of [read, write, fenced].entries())
    channel.send({ type: "claim", call: i + 1, lease })
  await quiet.settle()
  quiet.source.agent.withdraw(fenced.lease)
  await quiet.settle()
  assert.deepEqual([read.ends, write.ends, fenced.ends], [["peer lost"], [], []])
  await quiet.pass(100_000, 5000)
  assert.deepEqual([write.ends, fenced.ends, quiet.source.agent.openLeases], [[], [], 2])
})

test("one caller more than the limit is refused in words; one that goes makes room", async () => {
  await using quiet = await openQuiet()
  const callers = []
  for (let i = 0; i < callersMax; i++) callers.push(await quiet.network.connect("memory", 1))
  await assert.rejects(quiet.target.agent.connect(quiet.address, 5000), isKv("KV_LIMIT"))
  callers[7]!.close()
  await quiet.settle()
  await quiet.target.agent.connect(quiet.address, 5000)
})

test("notes and notifications reach the owner with the caller's name and boot, in their order", async () => {
  const notices: Notice[] = []
  await using quiet = await openQuiet({ source: { onNotice: (notice) => void notices.push(notice) } })
  const peer = await quiet.target.agent.connect(quiet.address, 5000)
  const { lease } = lendRandom(quiet.source, 40)
  const held = await quiet.target.agent.claim(peer, lease, soon(quiet))
  peer.notify("hello", Uint8Array.of(1, 2, 3))
  await held.release({ note: "done" })
  peer.notify("bye")
  await quiet.settle()
  const { agentId: from, bootId } = quiet.target.agent.card
  const none = new Uint8Array(0)
  assert.deepEqual(notices, [
    { from, bootId, text: "hello", attachment: Uint8Array.of(1, 2, 3) },
    { from, bootId, text: "done", attachment: none, lease },
    { from, bootId, text: "bye", attachment: none },
  ])
})
