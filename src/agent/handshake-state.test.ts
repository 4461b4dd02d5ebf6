import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { AssertionFailed } from "../errors/assert.ts"
import { KvError } from "../errors/kv-error.ts"
import { type ControlMessage, noCall } from "../wire/control-messages.ts"
import { cardOf } from "./cards.test.kit.ts"
import { meet, type Scene } from "./greet.test.kit.ts"
import {
  type HandshakeEvent,
  type HandshakeState,
  handshakeTransitions,
  isHandshakeEnd,
  nextHandshakeState,
} from "./handshake-state.ts"
import { delivered } from "./in-memory.test.kit.ts"
import { keysOf } from "./keys.test.kit.ts"

const states = [...new Set(handshakeTransitions.flatMap(({ from, to }) => [from, to]))]
const events = [...new Set(handshakeTransitions.map(({ event }) => event))]

test("the table is the machine: what is in it happens, and nothing else", () => {
  let rows = 0
  for (const from of states) {
    for (const event of events) {
      const row = handshakeTransitions.filter((entry) => entry.from === from && entry.event === event)
      assert.ok(row.length <= 1, `${from} ${event} is there once`)
      rows += row.length
      if (row[0] !== undefined) assert.equal(nextHandshakeState(from, event), row[0].to)
      else assert.throws(() => nextHandshakeState(from, event), AssertionFailed)
    }
  }
  assert.equal(rows, handshakeTransitions.length)
})

test("nothing happens after an end, and every other state can be left by failing", () => {
  for (const state of states) {
    const leaving = handshakeTransitions.filter(({ from }) => from === state)
    assert.equal(leaving.length === 0, isHandshakeEnd(state), state)
    if (!isHandshakeEnd(state))
      assert.ok(
        leaving.some(({ to }) => to === "refused"),
        state,
      )
  }
})

test("nobody is up without a proof of the other side: every way there leads through one", () => {
  const reachable = (without: HandshakeEvent): Set<HandshakeState> => {
    const seen = new Set<HandshakeState>(["idle"])
    for (const state of seen)
      for (const { from, event, to } of handshakeTransitions)
        if (from === state && event !== without) seen.add(to)
    return seen
  }
  const callerUp = handshakeTransitions.find(({ event }) => event === "fit")!.from
  assert.equal(reachable("welcome").has(callerUp), false)
  const listenerUp = handshakeTransitions.find(({ event }) => event === "present")!.from
  assert.equal(reachable("proof").has(listenerUp), false)
  assert.equal(reachable("admit").has(listenerUp), false)
})

const secret = randomBytes(32)
const same = { ours: { secret }, theirs: { secret } }
const others = { ours: { secret }, theirs: { secret: randomBytes(32) } }
const keys = { ours: keysOf("ours", "theirs"), theirs: keysOf("mallory", "ours") }
const mixed = { ours: { secret }, theirs: keysOf("theirs", "ours") }
const misfit = { ...same, card: cardOf("ours", { model: "two" }) }

type Step = (scene: Scene) => Promise<void>
const say =
  (pick: (actor: Scene["actor"]) => ControlMessage): Step =>
  ({ actor }) =>
    actor.say(pick(actor))
const hello = say((actor) => actor.hello)
const proof = say((actor) => actor.callerProof)
const present = say((actor) => actor.present)
const challenge = say((actor) => actor.challenge)
const welcome = say((actor) => actor.welcome)
const wrongWelcome = say((actor) => ({ type: "welcome", proof: { mac: "00".repeat(32) }, card: actor.card }))
const wrongPresent = say((actor) => ({ type: "present", seal: "00".repeat(32), card: actor.card }))
const expire: Step = async ({ clock }) => clock.advance(500)
const lose: Step = async ({ actor }) => actor.end.close()
const refuse = say(() => ({ type: "refused", call: noCall, error: { code: "KV_LIMIT", what: "no" } }))
const babble: Step = async ({ actor }) => actor.end.send(Buffer.from("GET / HTTP/1.1\r\n\r\n"))

/** What happens to a side that has got as far as `steps`, from outside. */
const outside: Record<string, Step> = { break: babble, refusal: refuse, lose, expire }
const after = (side: "caller" | "listener", ...steps: Step[]) =>
  Object.values(outside).map((last) => [side, same, [...steps, last]] as const)

const scenes: (readonly ["caller" | "listener", Parameters<typeof meet>[1], readonly Step[]])[] = [
  ["caller", same, [challenge, welcome]],
  ["listener", same, [hello, proof, present]],
  ["listener", mixed, [hello]],
  ["caller", mixed, [challenge]],
  ["listener", others, [hello, proof]],
  ["caller", keys, [challenge]],
  ["caller", same, [challenge, wrongWelcome]],
  ["caller", misfit, [challenge, welcome]],
  ["listener", same, [hello, proof, wrongPresent]],
  ["listener", misfit, [hello, proof, present]],
  ...after("listener"),
  ...after("caller"),
  ...after("caller", challenge),
  ...after("listener", hello),
  ...after("listener", hello, proof),
]

/** Scenes in which something happens while the fabrics let the session in. */
const whileAdmitting = { misfit: undefined, break: babble, lose, expire }

test("every transition of the table is taken by a real handshake, and the steps of each follow one another", async () => {
  const taken = new Set<string>()
  const note = async ({ greeted, steps, clock }: Scene): Promise<void> => {
    await delivered()
    clock.advance(1000)
    await delivered()
    await greeted.catch((error) => assert.ok(error instanceof KvError, String(error)))
    let state: HandshakeState = "idle"
    for (const { from, event, to } of steps) {
      assert.equal(from, state)
      taken.add(`${from} ${event} ${to}`)
      state = to
    }
    assert.ok(isHandshakeEnd(state), state)
  }
  for (const [side, options, steps] of scenes) {
    const scene = await meet(side, options)
    for (const step of steps) await step(scene)
    await note(scene)
  }
  for (const step of Object.values(whileAdmitting)) {
    let finish = (): void => {}
    const admit = (): Promise<void> =>
      step === undefined
        ? Promise.reject(new KvError("KV_LIMIT", { what: "no room" }))
        : new Promise((resolve) => (finish = resolve))
    const scene = await meet("listener", { ...same, admit })
    await hello(scene)
    await proof(scene)
    await step?.(scene)
    await delivered()
    finish()
    await note(scene)
  }
  const missing = handshakeTransitions
    .map(({ from, event, to }) => `${from} ${event} ${to}`)
    .filter((row) => !taken.has(row))
  assert.deepEqual(missing, [])
})
