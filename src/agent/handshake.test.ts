import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import type { CredentialKind, Proof } from "../wire/handshake-messages.ts"
import { cardOf } from "./cards.test.kit.ts"
import type { Credentials } from "./credentials.ts"
import { callerWords, listenerWords, openSession, prove, provenBy, type Transcript } from "./handshake.ts"
import { identityOfSeed } from "./key-pairs.ts"

const secret = new Uint8Array(32).fill(7)
const identity = identityOfSeed(new Uint8Array(32).fill(9))
const stranger = identityOfSeed(new Uint8Array(32).fill(10))
const shared = new Uint8Array(32).fill(3)
const trust = { source: "a test", find: () => undefined }
const kinds: Record<CredentialKind, Credentials> = {
  secret: { secret },
  key: { identity, trust },
  both: { secret, identity, trust },
}
const transcript: Transcript = {
  versions: [2],
  credential: "secret",
  callerAgent: "decode-1",
  callerBoot: "00".repeat(16),
  callerNonce: "11".repeat(32),
  callerEphemeral: "22".repeat(32),
  callerKey: identity.publicKey,
  listenerNonce: "33".repeat(32),
  listenerEphemeral: "44".repeat(32),
  listenerKey: stranger.publicKey,
}
const words = callerWords(transcript)
const card = cardOf("prefill-1")
const expected = (credentials: Credentials) => ({
  secret: credentials.secret,
  publicKey: credentials.identity?.publicKey,
})

test("a proof is accepted from the side that made it, and not from the other", () => {
  for (const credentials of Object.values(kinds)) {
    for (const side of ["caller", "listener"] as const) {
      const proof = prove(credentials, side, words)
      assert.equal(provenBy(proof, expected(credentials), side, words), true)
      const other = side === "caller" ? "listener" : "caller"
      assert.equal(provenBy(proof, expected(credentials), other, words), false)
    }
  }
})

test("a proof of one kind is not one of another: half of both is nothing, and more than is wanted is refused", () => {
  for (const [made, credentials] of Object.entries(kinds)) {
    for (const [wanted, against] of Object.entries(kinds)) {
      const proven = provenBy(prove(credentials, "caller", words), expected(against), "caller", words)
      assert.equal(proven, made === wanted, `${made} for ${wanted}`)
    }
    assert.equal(
      provenBy(prove(credentials, "caller", words), {}, "caller", words),
      false,
      "nothing was asked",
    )
  }
  assert.equal(provenBy({}, expected(kinds.both), "caller", words), false)
})

/** Changes one letter of one field. */
const changed: fc.Arbitrary<Transcript> = fc
  .tuple(fc.constantFrom(...(Object.keys(transcript) as (keyof Transcript)[])), fc.nat())
  .map(([name, pick]) => {
    if (name === "versions") return { ...transcript, versions: [2, 3] }
    if (name === "credential") return { ...transcript, credential: "key" }
    const text = transcript[name]
    const at = pick % text.length
    return { ...transcript, [name]: text.slice(0, at) + (text[at] === "5" ? "6" : "5") + text.slice(at + 1) }
  })

test("one changed letter of the transcript, in whichever field, gives other proofs and another session", () => {
  fc.assert(
    fc.property(changed, (other) => {
      const otherWords = callerWords(other)
      for (const credentials of Object.values(kinds)) {
        for (const side of ["caller", "listener"] as const) {
          const proof = prove(credentials, side, otherWords)
          assert.equal(provenBy(proof, expected(credentials), side, words), false)
        }
      }
      const [a, b] = [otherWords, words].map((said) => openSession(shared, secret, said).session)
      assert.notEqual(a!.id, b!.id)
      assert.notDeepEqual(a!.key, b!.key)
    }),
  )
})

test("every field of the transcript is tried above", () => {
  const tried = new Set<string>()
  for (const name of Object.keys(transcript) as (keyof Transcript)[]) {
    const other = { ...transcript, [name]: name === "versions" ? [1] : "x" }
    tried.add(callerWords(other as Transcript))
  }
  assert.equal(tried.size, Object.keys(transcript).length)
  assert.equal(tried.has(words), false)
})

test("letters that move from one field of the transcript to the next give other words", () => {
  const a = callerWords({ ...transcript, callerAgent: 'a","b', callerBoot: "c" })
  const b = callerWords({ ...transcript, callerAgent: "a", callerBoot: 'b","c' })
  assert.notEqual(a, b)
})

test("the listener's proof covers the caller's proof, and every field of the card", () => {
  const proof: Proof = prove({ secret }, "caller", words)
  const said = new Set([
    listenerWords(transcript, proof, card),
    listenerWords(transcript, prove({ secret: randomBytes(32) }, "caller", words), card),
    listenerWords(transcript, { signature: proof.mac! }, card),
    listenerWords(transcript, proof, { ...card, agentId: "other" }),
    listenerWords(transcript, proof, { ...card, bootId: "11".repeat(16) }),
    listenerWords(transcript, proof, { ...card, pid: 8 }),
    listenerWords(transcript, proof, { ...card, software: "other" }),
    listenerWords(transcript, proof, { ...card, model: "other" }),
    listenerWords(transcript, proof, { ...card, layout: { ...card.layout, blocks: 9 } }),
    listenerWords(transcript, proof, { ...card, transports: [] }),
    listenerWords(transcript, proof, { ...card, epochs: { region: 2 } }),
  ])
  assert.equal(said.size, 11)
  const reordered = Object.fromEntries(Object.entries(card).reverse()) as unknown as typeof card
  assert.equal(listenerWords(transcript, proof, reordered), listenerWords(transcript, proof, card))
})

test("a seal holds for its card and its session alone", () => {
  const opened = openSession(shared, secret, words)
  const seal = opened.sealOf(card)
  assert.equal(openSession(shared, secret, words).seals(seal, card), true)
  assert.equal(opened.seals(seal, { ...card, pid: 8 }), false)
  assert.equal(openSession(shared, undefined, words).seals(seal, card), false)
  for (const wrong of ["", "00", seal.slice(2), `${seal}00`]) assert.equal(opened.seals(wrong, card), false)
})

test("both sides derive one session; another agreed secret, or another cluster secret, gives another", () => {
  const { session } = openSession(shared, secret, words)
  assert.deepEqual(openSession(new Uint8Array(shared), new Uint8Array(secret), words).session, session)
  assert.match(session.id, /^[0-9a-f]{32}$/)
  assert.equal(session.key.byteLength, 32)
  for (const other of [
    openSession(randomBytes(32), secret, words),
    openSession(shared, randomBytes(32), words),
    openSession(shared, undefined, words),
  ]) {
    assert.notEqual(other.session.id, session.id)
    assert.notDeepEqual(other.session.key, session.key)
  }
})

test("the key of a session is none of what crosses the wire", () => {
  const { session, sealOf } = openSession(shared, secret, words)
  const key = Buffer.from(session.key).toString("hex")
  const proof = prove(kinds.both, "caller", words)
  for (const text of [session.id, proof.mac!, proof.signature!, sealOf(card)])
    assert.equal(key.includes(text) || text.includes(key), false)
})

test("a wrong, short, long or empty proof is refused, never an exception", () => {
  const { mac, signature } = prove(kinds.both, "caller", words)
  const wrongMacs = ["", "00", mac!.slice(2), `${mac}00`, "z".repeat(64), "00".repeat(32)]
  for (const text of wrongMacs) {
    assert.equal(provenBy({ mac: text, signature: signature! }, expected(kinds.both), "caller", words), false)
  }
  const wrongSignatures = ["", "00", signature!.slice(2), `${signature}00`, "z".repeat(128), "00".repeat(64)]
  for (const text of wrongSignatures) {
    assert.equal(provenBy({ mac: mac!, signature: text }, expected(kinds.both), "caller", words), false)
    assert.equal(provenBy({ signature: text }, expected(kinds.key), "caller", words), false)
  }
  const theirs = prove({ identity: stranger, trust }, "caller", words)
  assert.equal(provenBy(theirs, expected(kinds.key), "caller", words), false, "another's signature")
})
