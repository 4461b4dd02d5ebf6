import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { Session } from "../transport/transport.ts"
import { encodeFrame } from "../wire/control-frame.ts"
import { type ControlMessage, noCall } from "../wire/control-messages.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { type Greeted, greetAsCaller, greetAsListener } from "./greet.ts"
import { handshakeProof, type Transcript } from "./handshake.ts"
import { delivered, FakeClock, openPipe, type PipeEnd } from "./in-memory.test.kit.ts"

const secret = randomBytes(32)
const isKv = (code: string) => (error: unknown) => {
  assert.ok(error instanceof KvError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}

/** The other side, as the test plays it: what it hears is kept, what it says is up to the test. */
class Actor {
  readonly heard: ControlMessage[] = []
  readonly channel: MessageChannel
  readonly end: PipeEnd

  constructor(end: PipeEnd) {
    this.end = end
    this.channel = new MessageChannel(end)
    this.channel.listen(
      ({ message }) => this.heard.push(message),
      () => {},
    )
  }

  async say(...messages: ControlMessage[]): Promise<void> {
    for (const message of messages) this.channel.send(message)
    await delivered()
  }

  /** The last message of a kind. */
  last<T extends ControlMessage["type"]>(type: T): Extract<ControlMessage, { type: T }> {
    const found = this.heard.findLast((message) => message.type === type)
    assert.ok(found !== undefined, `no ${type} among ${this.heard.map((message) => message.type).join(", ")}`)
    return found as Extract<ControlMessage, { type: T }>
  }

  get kinds(): string[] {
    return this.heard.map(({ type }) => type)
  }
}

interface Scene {
  readonly clock: FakeClock
  readonly actor: Actor
  /** The end that the tested side holds. */
  readonly end: PipeEnd
  readonly greeted: Promise<Greeted>
  readonly admitted: Session[]
}

/** Starts one side of a handshake against an actor. */
async function meet(side: "caller" | "listener", admit?: () => Promise<void>): Promise<Scene> {
  const clock = new FakeClock()
  const [end, other] = openPipe()
  const actor = new Actor(other)
  const admitted: Session[] = []
  const options = { card: cardOf("ours"), secret, clock, timeoutMillis: 500 }
  const channel = new MessageChannel(end)
  const greeted =
    side === "caller"
      ? greetAsCaller(channel, options)
      : greetAsListener(channel, {
          ...options,
          admit: async (session) => {
            admitted.push(session)
            await admit?.()
          },
        })
  greeted.catch(() => {})
  await delivered()
  return { clock, actor, end, greeted, admitted }
}

const nonce = "ab".repeat(32)
const hello: ControlMessage = { type: "hello", agentId: "theirs", bootId: "cd".repeat(16), nonce }

function callerTranscript(actor: Actor): Transcript {
  const { nonce: listenerNonce } = actor.last("challenge")
  return { callerAgent: "theirs", callerBoot: "cd".repeat(16), callerNonce: nonce, listenerNonce }
}

function listenerTranscript(actor: Actor): Transcript {
  const { agentId, bootId, nonce: callerNonce } = actor.last("hello")
  return { callerAgent: agentId, callerBoot: bootId, callerNonce, listenerNonce: nonce }
}

async function assertFails({ greeted, clock, end }: Scene, code: string): Promise<void> {
  await assert.rejects(greeted, isKv(code))
  await delivered()
  assert.equal(end.closed, true, "the channel is closed")
  assert.equal(clock.waiting, 0, "no timer is left")
}

test("two agents that know one secret learn each other's cards and derive one session", async () => {
  const clock = new FakeClock()
  const [one, other] = openPipe()
  const common = { secret, clock, timeoutMillis: 500 }
  const admitted: Session[] = []
  const admit = async (session: Session): Promise<void> => void admitted.push(session)
  const [caller, listener] = await Promise.all([
    greetAsCaller(new MessageChannel(one), { ...common, card: cardOf("decode") }),
    greetAsListener(new MessageChannel(other), { ...common, card: cardOf("prefill"), admit }),
  ])
  assert.equal(caller.card.agentId, "prefill")
  assert.equal(listener.card.agentId, "decode")
  assert.deepEqual(caller.session, listener.session)
  assert.deepEqual(admitted, [listener.session])
  assert.equal(clock.waiting, 0)
})

test("an honest actor passes as caller and as listener: the scenes below fail for their own reasons", async () => {
  const listening = await meet("listener")
  await listening.actor.say(hello)
  const proof = handshakeProof(secret, "caller", callerTranscript(listening.actor))
  await listening.actor.say({ type: "proof", proof })
  await listening.actor.say({ type: "present", card: cardOf("theirs") })
  assert.equal((await listening.greeted).card.agentId, "theirs")
  const calling = await meet("caller")
  await calling.actor.say({ type: "challenge", nonce })
  const ours = handshakeProof(secret, "listener", listenerTranscript(calling.actor))
  await calling.actor.say({ type: "welcome", proof: ours, card: cardOf("theirs") })
  assert.equal((await calling.greeted).card.agentId, "theirs")
  assert.deepEqual(calling.actor.kinds, ["hello", "proof", "present"])
})

test("a caller without the secret is refused, admitted nowhere, and shown no card", async () => {
  for (const wrong of [
    handshakeProof(randomBytes(32), "caller", {
      callerAgent: "",
      callerBoot: "",
      callerNonce: "",
      listenerNonce: "",
    }),
    "00".repeat(32),
  ]) {
    const scene = await meet("listener")
    await scene.actor.say(hello, { type: "proof", proof: wrong })
    await assertFails(scene, "KV_PEER_UNTRUSTED")
    assert.deepEqual(scene.admitted, [])
    assert.deepEqual(scene.actor.kinds, ["challenge", "refused"])
  }
})

test("a proof that was recorded in one handshake is worth nothing in the next", async () => {
  const first = await meet("listener")
  await first.actor.say(hello)
  const proof = handshakeProof(secret, "caller", callerTranscript(first.actor))
  await first.actor.say({ type: "proof", proof })
  assert.equal(first.admitted.length, 1)
  const second = await meet("listener")
  await second.actor.say(hello, { type: "proof", proof })
  await assertFails(second, "KV_PEER_UNTRUSTED")
  assert.notEqual(first.actor.last("challenge").nonce, second.actor.last("challenge").nonce)
})

test("a listener that sends our own proof back, or knows no secret, sees no card of ours", async () => {
  const reflecting = await meet("caller")
  await reflecting.actor.say({ type: "challenge", nonce })
  const { proof } = reflecting.actor.last("proof")
  await reflecting.actor.say({ type: "welcome", proof, card: cardOf("theirs") })
  await assertFails(reflecting, "KV_PEER_UNTRUSTED")
  const guessing = await meet("caller")
  await guessing.actor.say(
    { type: "challenge", nonce },
    { type: "welcome", proof: "00".repeat(32), card: cardOf("x") },
  )
  await assertFails(guessing, "KV_PEER_UNTRUSTED")
  for (const { actor } of [reflecting, guessing]) assert.deepEqual(actor.kinds, ["hello", "proof", "refused"])
})

const outOfTurn: ControlMessage[] = [
  { type: "challenge", nonce },
  { type: "proof", proof: "00".repeat(32) },
  { type: "present", card: cardOf("theirs") },
  { type: "claim", call: 1, lease: "00".repeat(16) },
  { type: "released", call: 1 },
]

test("a message out of turn ends the handshake, on either side and at every turn", async () => {
  for (const message of outOfTurn) {
    if (message.type !== "challenge") {
      const calling = await meet("caller")
      await calling.actor.say(message)
      await assertFails(calling, "KV_WIRE_INVALID")
    }
    const listening = await meet("listener")
    await listening.actor.say(message)
    await assertFails(listening, "KV_WIRE_INVALID")
    if (message.type === "proof") continue
    const later = await meet("listener")
    await later.actor.say(hello, message)
    await assertFails(later, "KV_WIRE_INVALID")
    assert.deepEqual(later.admitted, [])
  }
})

test("a refusal of the peer is passed on with its code and words", async () => {
  const scene = await meet("caller")
  const error = { code: "KV_LIMIT", what: "this agent serves 256 peers already" } as const
  await scene.actor.say({ type: "refused", call: noCall, error })
  await assertFails(scene, "KV_LIMIT")
  await assert.rejects(scene.greeted, /serves 256 peers/)
})

test("silence ends the handshake at its deadline, at every turn and not before", async () => {
  const scripts: ["caller" | "listener", ControlMessage[]][] = [
    ["caller", []],
    ["caller", [{ type: "challenge", nonce }]],
    ["listener", []],
    ["listener", [hello]],
  ]
  for (const [side, said] of scripts) {
    const scene = await meet(side)
    await scene.actor.say(...said)
    scene.clock.advance(499)
    await delivered()
    assert.equal(scene.end.closed, false)
    scene.clock.advance(1)
    await assertFails(scene, "KV_DEADLINE")
  }
})

test("bytes that drip in one by one do not move the deadline", async () => {
  const scene = await meet("listener")
  for (const byte of encodeFrame({ body: hello }).subarray(0, 40)) {
    scene.actor.end.send(Uint8Array.of(byte))
    scene.clock.advance(12)
    await delivered()
  }
  assert.equal(scene.end.closed, false)
  scene.clock.advance(20)
  await assertFails(scene, "KV_DEADLINE")
})

test("a peer that leaves in mid-handshake is an error at once", async () => {
  for (const side of ["caller", "listener"] as const) {
    const scene = await meet(side)
    scene.actor.end.close()
    await assertFails(scene, "KV_PEER_LOST")
  }
})

test("a flood of early messages is cut off, however long the listener is busy", async () => {
  let finish = (): void => {}
  const scene = await meet(
    "listener",
    () =>
      new Promise((resolve) => {
        finish = resolve
      }),
  )
  await scene.actor.say(hello)
  const proof = handshakeProof(secret, "caller", callerTranscript(scene.actor))
  await scene.actor.say({ type: "proof", proof })
  await scene.actor.say(...Array.from({ length: 64 }, (): ControlMessage => ({ type: "released", call: 1 })))
  assert.equal(scene.end.closed, false)
  await scene.actor.say({ type: "released", call: 1 })
  assert.equal(scene.end.closed, true)
  finish()
  await assert.rejects(scene.greeted, (error) => error instanceof KvError)
})

test("bytes that are no message end the handshake, and an attachment is none before the proof", async () => {
  for (const bytes of [
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    encodeFrame({ body: hello, attachment: new Uint8Array(1) }),
  ]) {
    const scene = await meet("listener")
    scene.actor.end.send(bytes)
    await delivered()
    await assert.rejects(
      scene.greeted,
      (error) => error instanceof KvError && ["KV_WIRE_INVALID", "KV_LIMIT"].includes(error.code),
    )
    assert.equal(scene.end.closed, true)
  }
})

test("a card that does not fit ends the handshake, and the peer is told the rule", async () => {
  const calling = await meet("caller")
  await calling.actor.say({ type: "challenge", nonce })
  const proof = handshakeProof(secret, "listener", listenerTranscript(calling.actor))
  await calling.actor.say({ type: "welcome", proof, card: cardOf("theirs", { model: "two" }) })
  await assertFails(calling, "KV_PEER_REFUSED")
  assert.match(calling.actor.last("refused").error.why ?? "", /rule "model"/)
  assert.equal(calling.actor.kinds.includes("present"), false)
})
