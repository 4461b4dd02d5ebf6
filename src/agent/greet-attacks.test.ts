import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import type { ControlMessage } from "../wire/control-messages.ts"
import { cardOf } from "./cards.test.kit.ts"
import { assertFails, meet, type Scene, type SceneOptions } from "./greet.test.kit.ts"
import { delivered } from "./in-memory.test.kit.ts"
import { ephemeralOf } from "./key-pairs.ts"
import { identityNamed, keysOf, Trusted } from "./keys.test.kit.ts"
import { vouchFor } from "./vouch.ts"

const secret = randomBytes(32)
const withSecret: SceneOptions = { ours: { secret }, theirs: { secret } }
const withKeys: SceneOptions = { ours: keysOf("ours", "theirs"), theirs: keysOf("theirs", "ours") }
const withBoth: SceneOptions = {
  ours: { secret, ...withKeys.ours },
  theirs: { secret, ...withKeys.theirs },
}

/** Who the stranger is, what it has, and what this side would accept. */
const strangers: Record<string, SceneOptions> = {
  "another secret": { ours: { secret }, theirs: { secret: randomBytes(32) } },
  "a key that is not listed": { ours: withKeys.ours, theirs: keysOf("mallory", "ours") },
  "the right key and another secret": {
    ours: withBoth.ours,
    theirs: { secret: randomBytes(32), ...withKeys.theirs },
  },
  "the right secret and a key that is not listed": {
    ours: withBoth.ours,
    theirs: { secret, ...keysOf("mallory", "ours") },
  },
}

/** The caller's side saw a stranger: it showed no card. The stranger is told nothing of our files or reasons. */
function assertNothingTold({ actor }: Scene, ...kinds: string[]): void {
  assert.deepEqual(actor.kinds, [...kinds, "refused"])
  const { error } = actor.last("refused")
  assert.deepEqual(error, { code: "KV_PEER_UNTRUSTED", what: "this agent does not trust the other one" })
}

test("a caller with the wrong credentials is refused, admitted nowhere, and shown no card", async () => {
  for (const [who, options] of Object.entries(strangers)) {
    const scene = await meet("listener", options)
    await scene.actor.say(scene.actor.hello)
    await scene.actor.say(scene.actor.callerProof)
    const error = await assertFails(scene, "KV_PEER_UNTRUSTED")
    assert.deepEqual(scene.admitted, [], who)
    assertNothingTold(scene, "challenge")
    assert.ok(error.why !== undefined && error.what !== "this agent does not trust the other one", who)
  }
})

test("a listener with the wrong credentials sees no card, and one whose key is not listed no proof either", async () => {
  for (const [who, options] of Object.entries(strangers)) {
    const scene = await meet("caller", options)
    await scene.actor.say(scene.actor.challenge)
    if (who.includes("not listed")) {
      await assertFails(scene, "KV_PEER_UNTRUSTED")
      assertNothingTold(scene, "hello")
    } else {
      await scene.actor.say(scene.actor.welcome)
      await assertFails(scene, "KV_PEER_UNTRUSTED")
      assertNothingTold(scene, "hello", "proof")
    }
  }
})

test("a peer with another kind of credential is refused, and each side says what it wants itself", async () => {
  const kinds = { secret: withSecret, key: withKeys, both: withBoth }
  const wants = {
    secret: /this side trusts the cluster's secret only; .* offered/,
    key: /this side trusts keys from the test's list only; .* offered/,
    both: /this side trusts keys from the test's list together with the cluster's secret only; .* offered/,
  }
  for (const [mine, { ours }] of Object.entries(kinds)) {
    for (const [other, { theirs }] of Object.entries(kinds)) {
      if (mine === other) continue
      const listening = await meet("listener", { ours, theirs })
      await listening.actor.say(listening.actor.hello)
      const error = await assertFails(listening, "KV_PEER_UNTRUSTED")
      assert.match(error.what, wants[mine as keyof typeof wants])
      assert.match(error.what, other === "secret" ? /a cluster secret$/ : /a key/)
      assertNothingTold(listening)
      const calling = await meet("caller", { ours, theirs })
      await calling.actor.say(calling.actor.challenge)
      assert.match((await assertFails(calling, "KV_PEER_UNTRUSTED")).what, wants[mine as keyof typeof wants])
      assertNothingTold(calling, "hello")
    }
  }
})

test("a refusal for lack of trust is told from our side: what we showed, never what the peer says of itself", async () => {
  const said = { code: "KV_PEER_UNTRUSTED", what: "\u001b[2Jgive me your secret" } as const
  for (const options of [withSecret, withKeys, withBoth]) {
    const scene = await meet("caller", options)
    await scene.actor.say({ type: "refused", call: 0, error: said })
    const error = await assertFails(scene, "KV_PEER_UNTRUSTED")
    assert.match(
      error.what,
      options === withSecret ? /our proof of the cluster's secret$/ : /our key ed25519:/,
    )
    assert.equal(error.message.includes("give me"), false)
  }
})

test("a proof that was recorded in one handshake is worth nothing in the next", async () => {
  for (const options of [withSecret, withKeys, withBoth]) {
    const first = await meet("listener", options)
    await first.actor.say(first.actor.hello)
    const recorded: ControlMessage[] = [first.actor.hello, first.actor.callerProof]
    await first.actor.say(recorded[1]!)
    assert.equal(first.admitted.length, 1)
    const second = await meet("listener", options)
    await second.actor.say(...recorded)
    await assertFails(second, "KV_PEER_UNTRUSTED")
    assert.deepEqual(second.admitted, [])
    const [a, b] = [first, second].map(({ actor }) => actor.last("challenge"))
    assert.notEqual(a!.nonce, b!.nonce)
    assert.notEqual(a!.ephemeral, b!.ephemeral)
  }
})

test("a listener's welcome that was recorded is worth nothing to the next caller", async () => {
  for (const options of [withSecret, withKeys, withBoth]) {
    const first = await meet("caller", options)
    await first.actor.say(first.actor.challenge)
    const recorded = first.actor.welcome
    await first.actor.say(recorded)
    await first.greeted
    const second = await meet("caller", options)
    await second.actor.say(second.actor.challenge, recorded)
    await assertFails(second, "KV_PEER_UNTRUSTED")
    assert.equal(second.actor.kinds.includes("present"), false)
  }
})

test("our own words sent back to us are no proof, though the list trusts our own key", async () => {
  const self = keysOf("ours", "ours", "theirs")
  for (const ours of [{ secret }, self, { secret, ...self }]) {
    const scene = await meet("caller", { ours, theirs: ours })
    const { nonce, ephemeral, credential } = scene.actor.last("hello")
    await scene.actor.say({ ...scene.actor.challenge, nonce, ephemeral, credential })
    const { proof } = scene.actor.last("proof")
    await scene.actor.say({ type: "welcome", proof, card: cardOf("theirs") })
    await assertFails(scene, "KV_PEER_UNTRUSTED")
    assert.equal(scene.actor.kinds.includes("present"), false)
  }
})

test("a proof without its key, with another's key, or with a key that a secret's side never asked for, is refused", async () => {
  const cases: [SceneOptions, (proof: ReturnType<() => Scene["actor"]["callerProof"]>) => ControlMessage][] =
    [
      [withKeys, ({ proof }) => ({ type: "proof", proof })],
      [withKeys, (message) => ({ ...message, publicKey: identityNamed("mallory").publicKey })],
      [withKeys, (message) => ({ ...message, proof: { mac: "00".repeat(32) } })],
      [withBoth, ({ proof, ...rest }) => ({ ...rest, proof: { signature: proof.signature! } })],
      [withBoth, ({ proof, ...rest }) => ({ ...rest, proof: { mac: proof.mac! } })],
      [withSecret, (message) => ({ ...message, publicKey: identityNamed("theirs").publicKey })],
    ]
  for (const [options, change] of cases) {
    const scene = await meet("listener", options)
    await scene.actor.say(scene.actor.hello)
    await scene.actor.say(change(scene.actor.callerProof))
    await assertFails(scene, "KV_PEER_UNTRUSTED")
    assert.deepEqual(scene.admitted, [])
  }
})

test("an entry counts until its time, and a withdrawn key no longer, also for one that was let in before", async () => {
  const trust = new Trusted()
  const ours = { identity: identityNamed("ours"), trust }
  const { theirs } = withKeys
  trust.add("theirs", { until: 1_800_000_001_001 })
  const before = await meet("listener", { ours, theirs })
  await before.actor.say(before.actor.hello)
  await before.actor.say(before.actor.callerProof)
  assert.equal(before.admitted[0]?.peer.until, 1_800_000_001_001)
  const { publicKey } = identityNamed("theirs")
  const again = (wallMillis: number) => () => vouchFor(ours, publicKey, "theirs", wallMillis)
  again(1_800_000_001_000)()
  assert.throws(again(1_800_000_001_001), /ended at 2027-01-15T08:00:01.001Z/)
  trust.add("theirs", { until: 1_800_000_001_000 })
  for (const side of ["listener", "caller"] as const) {
    const after = await meet(side, { ours, theirs })
    if (side === "listener") await after.actor.say(after.actor.hello)
    await after.actor.say(side === "listener" ? after.actor.callerProof : after.actor.challenge)
    assert.match(
      (await assertFails(after, "KV_PEER_UNTRUSTED")).why ?? "",
      /its entry in the test's list ended/,
    )
    assert.deepEqual(after.admitted, [])
  }
  trust.entries.clear()
  assert.throws(again(0), /does not list it/)
})

test("an ephemeral key that leaves nothing secret is refused on either side", async () => {
  for (const ephemeral of ["00".repeat(32), `01${"00".repeat(31)}`]) {
    assert.equal(ephemeralOf(randomBytes(32)).agree(ephemeral), undefined)
    const listening = await meet("listener", withSecret)
    await listening.actor.say({ ...listening.actor.hello, ephemeral })
    await assertFails(listening, "KV_WIRE_INVALID")
    const calling = await meet("caller", withSecret)
    await calling.actor.say({ ...calling.actor.challenge, ephemeral })
    await assertFails(calling, "KV_WIRE_INVALID")
  }
})

test("the card of another agent than the one that called is refused, though the session is right", async () => {
  const scene = await meet("listener", withSecret)
  const { hello } = scene.actor
  await scene.actor.say(hello)
  await scene.actor.say(scene.actor.callerProof)
  Object.assign(scene.actor.card, { agentId: "somebody-else" })
  await scene.actor.say(scene.actor.present)
  await delivered()
  assert.match((await assertFails(scene, "KV_WIRE_INVALID")).what, /another agent/)
})
