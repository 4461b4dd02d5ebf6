import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { encodeFrame } from "../wire/control-frame.ts"
import { type ControlMessage, noCall } from "../wire/control-messages.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import type { AuthenticatedPeer, Credentials } from "./credentials.ts"
import { assertFails, meet, type SceneOptions } from "./greet.test.kit.ts"
import { greetAsCaller, greetAsListener } from "./greet.ts"
import { delivered, FakeClock, openPipe } from "./in-memory.test.kit.ts"
import { identityNamed, keysOf } from "./keys.test.kit.ts"

const secret = randomBytes(32)
const kinds: Record<AuthenticatedPeer["how"], SceneOptions> = {
  secret: { ours: { secret }, theirs: { secret } },
  key: { ours: keysOf("ours", "theirs"), theirs: keysOf("theirs", "ours") },
  both: {
    ours: { secret, ...keysOf("ours", "theirs") },
    theirs: { secret, ...keysOf("theirs", "ours") },
  },
}
const plain = kinds.secret

test("two agents that prove themselves learn each other's cards and derive one session", async () => {
  for (const [how, { ours, theirs }] of Object.entries(kinds)) {
    const clock = new FakeClock()
    const [one, other] = openPipe()
    const common = { clock, timeoutMillis: 500 }
    const admitted: unknown[] = []
    const admit = async (...who: unknown[]): Promise<void> => void admitted.push(who)
    const [caller, listener] = await Promise.all([
      greetAsCaller(new MessageChannel(one), { ...common, credentials: ours, card: cardOf("decode") }),
      greetAsListener(new MessageChannel(other), {
        ...common,
        credentials: theirs,
        card: cardOf("prefill"),
        admit,
      }),
    ])
    assert.deepEqual([caller.card, listener.card], [cardOf("prefill"), cardOf("decode")])
    assert.deepEqual(caller.session, listener.session)
    assert.deepEqual(admitted, [[listener.session, listener.peer]])
    assert.deepEqual([caller.peer.how, listener.peer.how], [how, how])
    assert.equal(clock.waiting, 0)
  }
})

test("each side knows whom it met: the key and name of its own list and what that list allows", async () => {
  const { ours, theirs } = kinds.key
  const scene = await meet("listener", { ours, theirs })
  await scene.actor.say(scene.actor.hello)
  await scene.actor.say(scene.actor.callerProof)
  const rights = { read: true, write: false }
  const { publicKey } = identityNamed("theirs")
  assert.deepEqual(scene.admitted[0]?.peer, { how: "key", publicKey, name: "theirs", rights })
  const plainScene = await meet("listener", plain)
  await plainScene.actor.say(plainScene.actor.hello)
  await plainScene.actor.say(plainScene.actor.callerProof)
  assert.deepEqual(plainScene.admitted[0]?.peer, { how: "secret", rights: { read: true, write: true } })
})

test("an honest actor passes as caller and as listener: the scenes of these tests fail for their own reasons", async () => {
  for (const options of Object.values(kinds)) {
    const listening = await meet("listener", options)
    await listening.actor.say(listening.actor.hello)
    await listening.actor.say(listening.actor.callerProof)
    await listening.actor.say(listening.actor.present)
    assert.equal((await listening.greeted).card.agentId, "theirs")
    assert.deepEqual(listening.actor.kinds, ["challenge", "welcome"])
    const calling = await meet("caller", options)
    await calling.actor.say(calling.actor.challenge)
    await calling.actor.say(calling.actor.welcome)
    assert.equal((await calling.greeted).card.agentId, "theirs")
    assert.deepEqual(calling.actor.kinds, ["hello", "proof", "present"])
  }
})

const outOfTurn: ControlMessage[] = [
  { type: "proof", proof: { mac: "00".repeat(32) } },
  { type: "present", seal: "00".repeat(32), card: cardOf("theirs") },
  { type: "claim", call: 1, lease: "00".repeat(16) },
  { type: "ask-grant", call: 1, direction: "read" },
  { type: "notify", text: "let me in" },
  { type: "released", call: 1 },
]

test("a message out of turn ends the handshake, on either side and at every turn", async () => {
  for (const message of outOfTurn) {
    const calling = await meet("caller", plain)
    await calling.actor.say(message)
    await assertFails(calling, "KV_WIRE_INVALID")
    const listening = await meet("listener", plain)
    await listening.actor.say(message)
    await assertFails(listening, "KV_WIRE_INVALID")
    if (message.type === "proof") continue
    const later = await meet("listener", plain)
    await later.actor.say(later.actor.hello, message)
    await assertFails(later, "KV_WIRE_INVALID")
    assert.deepEqual(later.admitted, [])
    assert.deepEqual(later.actor.kinds, ["challenge", "refused"])
  }
})

test("a refusal of the peer is passed on with its code and words", async () => {
  const scene = await meet("caller", plain)
  const error = { code: "KV_LIMIT", what: "this agent serves 256 peers already" } as const
  await scene.actor.say({ type: "refused", call: noCall, error })
  assert.match((await assertFails(scene, "KV_LIMIT")).what, /serves 256 peers/)
})

test("a refusal counts before the end of the channel that comes with it", async () => {
  const scene = await meet("caller", plain)
  const error = { code: "KV_LIMIT", what: "too many" } as const
  scene.actor.channel.send({ type: "refused", call: noCall, error })
  scene.actor.channel.close()
  await assertFails(scene, "KV_LIMIT")
})

test("silence ends the handshake at its deadline, at every turn and not before", async () => {
  const turns = ["caller", "caller+", "listener", "listener+"] as const
  for (const turn of turns) {
    const scene = await meet(turn.startsWith("caller") ? "caller" : "listener", plain)
    if (turn === "caller+") await scene.actor.say(scene.actor.challenge)
    if (turn === "listener+") await scene.actor.say(scene.actor.hello)
    scene.clock.advance(499)
    await delivered()
    assert.equal(scene.end.closed, false)
    scene.clock.advance(1)
    await assertFails(scene, "KV_DEADLINE")
  }
})

test("bytes that drip in one by one do not move the deadline", async () => {
  const scene = await meet("listener", plain)
  for (const byte of encodeFrame({ body: scene.actor.hello }).subarray(0, 40)) {
    scene.actor.end.send(Uint8Array.of(byte))
    scene.clock.advance(12)
    await delivered()
  }
  assert.equal(scene.end.closed, false)
  scene.clock.advance(20)
  await assertFails(scene, "KV_DEADLINE")
})

test("a deadline or a loss while the fabrics let the session in ends the handshake there", async () => {
  for (const how of ["expire", "lose"] as const) {
    let finish = (): void => {}
    const admit = (): Promise<void> => new Promise((resolve) => (finish = resolve))
    const scene = await meet("listener", { ...plain, admit })
    await scene.actor.say(scene.actor.hello)
    await scene.actor.say(scene.actor.callerProof)
    if (how === "expire") scene.clock.advance(500)
    else scene.actor.end.close()
    await delivered()
    finish()
    await assertFails(scene, how === "expire" ? "KV_DEADLINE" : "KV_PEER_LOST")
    assert.equal(scene.actor.kinds.includes("welcome"), false)
  }
})

test("a session that cannot be let in is refused, and the peer is told", async () => {
  const admit = (): Promise<void> => Promise.reject(new KvError("KV_LIMIT", { what: "no room" }))
  const scene = await meet("listener", { ...plain, admit })
  await scene.actor.say(scene.actor.hello)
  await scene.actor.say(scene.actor.callerProof)
  await assertFails(scene, "KV_LIMIT")
  assert.equal(scene.actor.last("refused").error.what, "no room")
})

test("a peer that leaves in mid-handshake is an error at once", async () => {
  for (const side of ["caller", "listener"] as const) {
    const scene = await meet(side, plain)
    scene.actor.end.close()
    await assertFails(scene, "KV_PEER_LOST")
  }
})

test("a flood of early messages is cut off, however long the listener is busy", async () => {
  let finish = (): void => {}
  const admit = (): Promise<void> => new Promise((resolve) => (finish = resolve))
  const scene = await meet("listener", { ...plain, admit })
  await scene.actor.say(scene.actor.hello)
  await scene.actor.say(scene.actor.callerProof)
  await scene.actor.say(...Array.from({ length: 4 }, (): ControlMessage => ({ type: "released", call: 1 })))
  assert.equal(scene.end.closed, false)
  await scene.actor.say({ type: "released", call: 1 })
  assert.equal(scene.end.closed, true)
  finish()
  await assertFails(scene, "KV_LIMIT")
})

test("bytes that are no message end the handshake, and an attachment is none before the proof", async () => {
  const attachment = encodeFrame({ body: { type: "notify", text: "" }, attachment: new Uint8Array(1) })
  for (const [bytes, code] of [
    [Buffer.from("GET / HTTP/1.1\r\n\r\n"), "KV_WIRE_INVALID"],
    [attachment, "KV_LIMIT"],
  ] as const) {
    const scene = await meet("listener", plain)
    scene.actor.end.send(bytes)
    await delivered()
    await assertFails(scene, code)
  }
})

test("a card that does not fit ends the handshake on either side, and the peer is told the rule", async () => {
  const card = cardOf("ours", { model: "two" })
  const calling = await meet("caller", { ...plain, card })
  await calling.actor.say(calling.actor.challenge)
  await calling.actor.say(calling.actor.welcome)
  await assertFails(calling, "KV_PEER_REFUSED")
  assert.match(calling.actor.last("refused").error.why ?? "", /rule "model"/)
  assert.equal(calling.actor.kinds.includes("present"), false)
  const listening = await meet("listener", { ...plain, card })
  await listening.actor.say(listening.actor.hello)
  await listening.actor.say(listening.actor.callerProof)
  await listening.actor.say(listening.actor.present)
  await assertFails(listening, "KV_PEER_REFUSED")
})

test("a replay is exact when nonces and keys come from a seed", async () => {
  const sessions = await Promise.all(
    [1, 1, 2].map(async (seed) => {
      const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(seed)
      const [one, other] = openPipe()
      const common = { clock: new FakeClock(), timeoutMillis: 500, credentials: plain.ours, random }
      const admit = async (): Promise<void> => {}
      const listening = greetAsListener(new MessageChannel(other), { ...common, card: cardOf("b"), admit })
      const { session } = await greetAsCaller(new MessageChannel(one), { ...common, card: cardOf("a") })
      await listening
      return session.id
    }),
  )
  assert.equal(sessions[0], sessions[1])
  assert.notEqual(sessions[0], sessions[2])
})

test("credentials that make no sense are refused before a byte is said", async () => {
  const { identity, trust } = keysOf("ours", "theirs")
  const none: Credentials[] = [{}, { identity: identity! }, { trust: trust! }, { secret: randomBytes(15) }]
  for (const ours of none) {
    const scene = await meet("caller", { ours, theirs: plain.theirs })
    await assert.rejects(scene.greeted, (error) => error instanceof KvError && error.code === "KV_USAGE")
    assert.deepEqual(scene.actor.kinds, [])
  }
})
