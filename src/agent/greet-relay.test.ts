import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { encodeFrame, FrameReader } from "../wire/control-frame.ts"
import { formatPublicKey } from "../wire/public-key.ts"
import { cardOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import type { Credentials } from "./credentials.ts"
import { type Greeted, greetAsCaller, greetAsListener } from "./greet.ts"
import { delivered, FakeClock, openPipe, type PipeEnd } from "./in-memory.test.kit.ts"
import { ephemeralOf } from "./key-pairs.ts"
import { keysOf } from "./keys.test.kit.ts"

const secret = randomBytes(32)
const pairs: Record<string, readonly [Credentials, Credentials]> = {
  secret: [{ secret }, { secret }],
  key: [keysOf("decode", "prefill"), keysOf("prefill", "decode")],
  both: [
    { secret, ...keysOf("decode", "prefill") },
    { secret, ...keysOf("prefill", "decode") },
  ],
}

type Message = { type: string; [field: string]: unknown }
/** What the one in the middle makes of a message on its way. */
type Meddle = (message: Message) => Message | undefined

interface Met {
  readonly caller: PromiseSettledResult<Greeted>
  readonly listener: PromiseSettledResult<Greeted>
  readonly passed: readonly Message[]
}

/** Two honest sides with somebody in the middle who sees and changes every message. */
async function meetThrough(
  meddle: Meddle,
  [ours, theirs]: readonly [Credentials, Credentials],
): Promise<Met> {
  const [callerEnd, left] = openPipe()
  const [listenerEnd, right] = openPipe()
  const passed: Message[] = []
  const relay = (from: PipeEnd, to: PipeEnd): void => {
    const reader = new FrameReader()
    let sealed = false
    from.onBytes((bytes) => {
      if (sealed) return to.send(bytes)
      reader.push(bytes)
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        const message = frame.body as Message
        const changed = meddle(structuredClone(message))
        passed.push(message)
        sealed = message.type === "welcome" || message.type === "present"
        if (changed === undefined) to.close()
        else to.send(encodeFrame({ body: changed }))
      }
    })
    from.onClose(() => to.close())
  }
  relay(left, right)
  relay(right, left)
  const clock = new FakeClock()
  const common = { clock, timeoutMillis: 500 }
  const both = Promise.allSettled([
    greetAsCaller(new MessageChannel(callerEnd), { ...common, credentials: ours, card: cardOf("decode") }),
    greetAsListener(new MessageChannel(listenerEnd), {
      ...common,
      credentials: theirs,
      card: cardOf("prefill"),
      admit: async () => {},
    }),
  ])
  for (let turn = 0; turn < 8; turn++) await delivered()
  clock.advance(500)
  const [caller, listener] = await both
  return { caller, listener, passed }
}

const refused = (result: PromiseSettledResult<Greeted>, about: string): void => {
  assert.equal(result.status, "rejected", `${about} was not noticed`)
  assert.ok(result.reason instanceof KvError, `${about}: ${String(result.reason)}`)
}

/** Every place of a message where something stands that is not its type, with a way to change it. */
function places(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path]
  return Object.entries(value).flatMap(([name, field]) =>
    path.length === 0 && name === "type" ? [] : places(field, [...path, name]),
  )
}

/** Another value of the same kind that a reader lets through, wherever there is one. */
function otherValue(value: unknown, path: readonly string[]): unknown {
  if (typeof value === "number") return value + 1
  const text = String(value)
  const others: Record<string, string> = {
    secret: "key",
    key: "both",
    both: "secret",
    "head-major": "token-major",
  }
  if (path.at(-1) === "publicKey") return formatPublicKey(new Uint8Array(32).fill(0x42))
  return others[text] ?? (text.startsWith("0") ? "1" : "0") + text.slice(1)
}

function changeAt(message: Message, path: readonly string[]): Message {
  let holder: Record<string, unknown> = message
  for (const name of path.slice(0, -1)) holder = holder[name] as Record<string, unknown>
  const name = path.at(-1)!
  holder[name] = otherValue(holder[name], path)
  return message
}

test("a relay that changes nothing changes nothing: what follows fails for its own reasons", async () => {
  for (const [kind, pair] of Object.entries(pairs)) {
    const { caller, listener, passed } = await meetThrough((message) => message, pair)
    assert.ok(caller.status === "fulfilled" && listener.status === "fulfilled", kind)
    assert.deepEqual(caller.value.session, listener.value.session)
    const types = passed.map(({ type }) => type)
    assert.deepEqual(types, ["hello", "challenge", "proof", "welcome", "present"])
    const key = Buffer.from(caller.value.session.key).toString("hex")
    assert.equal(JSON.stringify(passed).includes(key), false)
    assert.equal(JSON.stringify(passed).includes(Buffer.from(secret).toString("hex")), false)
  }
})

test("one field changed on the way, whichever of whichever message, and its receiver lets nobody in", async () => {
  let tried = 0
  for (const [kind, pair] of Object.entries(pairs)) {
    const { passed } = await meetThrough((message) => message, pair)
    for (const honest of passed) {
      for (const path of places(honest)) {
        const about = `${kind}: ${honest.type}.${path.join(".")}`
        const meddle: Meddle = (message) => (message.type === honest.type ? changeAt(message, path) : message)
        const { caller, listener } = await meetThrough(meddle, pair)
        const toCaller = ["challenge", "welcome"].includes(honest.type)
        refused(toCaller ? caller : listener, about)
        // The last message has no answer: its sender hears of it on the open channel.
        if (honest.type !== "present") refused(toCaller ? listener : caller, about)
        tried += 1
      }
    }
  }
  assert.ok(tried > 120, `${tried} places`)
})

test("a field that is left out or added on the way is noticed", async () => {
  const changes: [keyof typeof pairs, string, (message: Message) => void][] = [
    ["key", "challenge", (message) => delete message["publicKey"]],
    ["key", "proof", (message) => delete message["publicKey"]],
    ["both", "proof", (message) => delete (message["proof"] as Message)["mac"]],
    ["both", "proof", (message) => delete (message["proof"] as Message)["signature"]],
    ["both", "welcome", (message) => delete (message["proof"] as Message)["mac"]],
    ["both", "welcome", (message) => delete (message["proof"] as Message)["signature"]],
    ["secret", "welcome", (message) => Object.assign(message["card"] as object, { epochs: { region: 2 } })],
    ["secret", "present", (message) => Object.assign(message["card"] as object, { epochs: { region: 2 } })],
    ["secret", "hello", (message) => Object.assign(message, { versions: [3, 2] })],
  ]
  for (const [kind, type, change] of changes) {
    const { caller, listener } = await meetThrough((message) => {
      if (message.type === type) change(message)
      return message
    }, pairs[kind]!)
    refused(["challenge", "welcome"].includes(type) ? caller : listener, `${kind}: ${type}`)
  }
})

test("somebody in the middle who puts in ephemeral keys of its own gets no session, and sees no card", async () => {
  for (const [kind, pair] of Object.entries(pairs)) {
    const own = ephemeralOf(randomBytes(32)).publicKey
    const { caller, listener, passed } = await meetThrough(
      (message) => ("ephemeral" in message ? { ...message, ephemeral: own } : message),
      pair,
    )
    refused(caller, kind)
    refused(listener, kind)
    assert.equal(JSON.stringify(passed).includes("card"), false)
  }
})

test("a trusted peer cannot pass our call on to another as ours: the proof names the listener's key", async () => {
  // Decode calls mallory, whom it trusts; prefill trusts decode, and not mallory.
  const mallory = keysOf("mallory").identity!
  const decode = keysOf("decode", "mallory", "prefill")
  const { caller, listener, passed } = await meetThrough(
    (message) => (message.type === "challenge" ? { ...message, publicKey: mallory.publicKey } : message),
    [decode, pairs["key"]![1]],
  )
  refused(listener, "a call that was passed on")
  refused(caller, "a call that was passed on")
  assert.equal(JSON.stringify(passed).includes("card"), false)
})

test("a handshake that is cut off after any message leaves nobody waiting", async () => {
  for (const cut of ["hello", "challenge", "proof", "welcome", "present"]) {
    const { caller, listener } = await meetThrough(
      (message) => (message.type === cut ? undefined : message),
      pairs["secret"]!,
    )
    refused(listener, `cut after ${cut}`)
    if (cut !== "present") refused(caller, `cut after ${cut}`)
  }
})
