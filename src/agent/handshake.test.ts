import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import fc from "fast-check"
import { handshakeProof, provesSecret, sessionOf, type Transcript } from "./handshake.ts"

const secret = new Uint8Array(32).fill(7)
const transcript: Transcript = {
  callerAgent: "decode-1",
  callerBoot: "00".repeat(16),
  callerNonce: "11".repeat(32),
  listenerNonce: "22".repeat(32),
}

test("a proof is accepted from the side that made it, and not from the other", () => {
  for (const side of ["caller", "listener"] as const) {
    const proof = handshakeProof(secret, side, transcript)
    assert.match(proof, /^[0-9a-f]{64}$/)
    assert.equal(provesSecret(proof, secret, side, transcript), true)
    assert.equal(provesSecret(proof, secret, side === "caller" ? "listener" : "caller", transcript), false)
  }
})

test("one changed letter of the transcript gives another proof and another session", () => {
  const names = Object.keys(transcript) as (keyof Transcript)[]
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.nat(), (name, pick) => {
      const at = pick % transcript[name].length
      const letter = transcript[name][at] === "5" ? "6" : "5"
      const changed = {
        ...transcript,
        [name]: transcript[name].slice(0, at) + letter + transcript[name].slice(at + 1),
      }
      for (const side of ["caller", "listener"] as const) {
        assert.equal(provesSecret(handshakeProof(secret, side, changed), secret, side, transcript), false)
      }
      assert.notEqual(sessionOf(secret, changed).id, sessionOf(secret, transcript).id)
      assert.notDeepEqual(sessionOf(secret, changed).key, sessionOf(secret, transcript).key)
    }),
  )
})

test("letters that move from one field of the transcript to the next give another proof", () => {
  const [a, b] = [
    { ...transcript, callerAgent: 'a","b', callerBoot: "c" },
    { ...transcript, callerAgent: "a", callerBoot: 'b","c' },
  ]
  assert.notEqual(handshakeProof(secret, "caller", a), handshakeProof(secret, "caller", b))
})

test("both sides derive one session; another secret gives another", () => {
  const session = sessionOf(secret, transcript)
  assert.deepEqual(sessionOf(new Uint8Array(secret), { ...transcript }), session)
  assert.match(session.id, /^[0-9a-f]{32}$/)
  assert.equal(session.key.byteLength, 32)
  const other = sessionOf(randomBytes(32), transcript)
  assert.notEqual(other.id, session.id)
  assert.notDeepEqual(other.key, session.key)
})

test("the key of a session is none of what crosses the wire", () => {
  const session = sessionOf(secret, transcript)
  const key = Buffer.from(session.key).toString("hex")
  const seen = [
    session.id,
    handshakeProof(secret, "caller", transcript),
    handshakeProof(secret, "listener", transcript),
  ]
  for (const text of seen) assert.equal(key.includes(text) || text.includes(key), false)
})

test("a wrong, short, long or empty proof is refused, never an exception", () => {
  const proof = handshakeProof(secret, "caller", transcript)
  const wrong = [
    "",
    "00",
    proof.slice(2),
    `${proof}00`,
    "z".repeat(64),
    handshakeProof(randomBytes(32), "caller", transcript),
  ]
  for (const text of wrong) assert.equal(provesSecret(text, secret, "caller", transcript), false, text)
})
