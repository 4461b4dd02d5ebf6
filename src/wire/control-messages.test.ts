import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { encodeFrame } from "./control-frame.ts"
import { type ControlMessage, messageLimits, readControlMessage } from "./control-messages.ts"
import { framesOf, noSealer, openReader } from "./frames.test.kit.ts"
import { anyMessage, requiredPaths, withField } from "./messages.test.kit.ts"

/** A message as the other side gets it. */
function overTheWire(value: unknown): ControlMessage {
  const [frame] = framesOf(openReader(), encodeFrame({ body: value }, noSealer))
  return readControlMessage(frame!.body)
}

function refusal(value: unknown): KvError | undefined {
  try {
    overTheWire(value)
    return undefined
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    assert.equal(thrown.code, "KV_WIRE_INVALID", thrown.message)
    assert.ok(thrown.message.length < 500, "the peer's words are cut short")
    return thrown
  }
}

const assertRefused = (value: unknown, about: string): void =>
  assert.ok(refusal(value) !== undefined, `${about} was let through: ${JSON.stringify(value).slice(0, 300)}`)

test("every message comes out as it went in", () => {
  fc.assert(
    fc.property(anyMessage, (sent) => assert.deepEqual(overTheWire(sent), structuredClone(sent))),
    { numRuns: 600 },
  )
})

test("a message with a field missing, or of another kind, is refused", () => {
  const wrongValues = [null, true, {}, [], [[]], -1, 0.5, 2 ** 53, 1e308, "", "x".repeat(5000)]
  fc.assert(
    fc.property(anyMessage, fc.nat(), (sent, pick) => {
      const paths = requiredPaths(sent)
      const path = paths[pick % paths.length]!
      const about = path.join(".")
      const without = withField(sent, path, (holder, name) => delete holder[name])
      assertRefused(without, `without ${about}`)
      let original: unknown = sent
      for (const name of path) original = (original as Record<string, unknown>)[name]
      for (const wrong of wrongValues) {
        // Of the same kind, an unlucky value may be a good one: an empty text, an empty list.
        const sameKind = typeof wrong === typeof original && Array.isArray(wrong) === Array.isArray(original)
        if (sameKind && (wrong === "" || Array.isArray(wrong))) continue
        const changed = withField(sent, path, (holder, name) => {
          holder[name] = wrong
        })
        assertRefused(changed, `${about} = ${JSON.stringify(wrong).slice(0, 20)}`)
      }
    }),
    { numRuns: 400 },
  )
})

/** A message with something else, of whatever kind, at one place. */
const damaged: fc.Arbitrary<unknown> = fc
  .tuple(anyMessage, fc.nat(), fc.jsonValue({ maxDepth: 3 }))
  .map(([sent, pick, value]) => {
    const paths = requiredPaths(sent)
    return withField(sent, paths[pick % paths.length]!, (holder, name) => {
      holder[name] = value
    })
  })

test("any JSON is refused, or is a message that prints back the same", () => {
  const anything = fc.oneof(damaged, fc.jsonValue(), anyMessage)
  let readable = 0
  fc.assert(
    fc.property(anything, (value) => {
      if (refusal(value) !== undefined) return
      readable += 1
      const read = overTheWire(value)
      assert.deepEqual(overTheWire(read), read)
      assert.equal(JSON.stringify(overTheWire(read)), JSON.stringify(read))
    }),
    { numRuns: 1500 },
  )
  assert.ok(readable > 100, `${readable} were readable`)
})

test("a number that JSON writes as -0 is 0", () => {
  const read = readControlMessage(JSON.parse(`{"type":"released","call":-0}`))
  assert.ok("call" in read && Object.is(read.call, 0))
})

test("a message of no kind we know, or that is no message at all, is refused", () => {
  for (const value of [
    null,
    1,
    "hello",
    [],
    {},
    { type: "nonsense" },
    { type: "constructor" },
    { type: ["hello"] },
  ])
    assertRefused(value, JSON.stringify(value))
})

test("hexadecimal is exactly as long as it must be, in small letters", () => {
  for (const lease of [
    "",
    "00",
    "g".repeat(32),
    "A".repeat(32),
    "0".repeat(31),
    "0".repeat(33),
    "0".repeat(34),
  ])
    assertRefused({ type: "claim", call: 1, lease }, lease)
})

test("every list and text is bounded", () => {
  const granted = (blocks: unknown, epochs: unknown = [0]): unknown => ({
    type: "granted",
    holdMillis: 1000,
    call: 1,
    tokens: 1,
    blocks,
    epochs,
    access: "read",
  })
  const many = (count: number): number[] => Array(count).fill(0)
  const { blocks, leases, note } = messageLimits
  assert.equal(refusal(granted(many(blocks), many(blocks))), undefined)
  assertRefused(granted(many(blocks + 1), many(blocks + 1)), "2^17 + 1 blocks")
  assertRefused(granted([2 ** 32]), "a block id of 33 bits")
  assertRefused(granted([-1]), "a negative block id")
  assertRefused(granted({ length: 3 }), "something like a list")
  assertRefused(granted([1, 2], [1]), "an epoch too few")
  assertRefused(granted([1], [1, 2]), "an epoch too many")
  const lease = "00".repeat(16)
  for (const [type, name] of [
    ["renew", "leases"],
    ["renewed", "ended"],
  ] as const) {
    assert.equal(refusal({ type, call: 1, [name]: Array(leases).fill(lease) }), undefined)
    assertRefused({ type, call: 1, [name]: Array(leases + 1).fill(lease) }, `too many ${name}`)
  }
  assert.equal(refusal({ type: "notify", text: "x".repeat(note) }), undefined)
  assertRefused({ type: "notify", text: "x".repeat(note + 1) }, "a long notification")
  assertRefused({ type: "release", call: 1, lease, note: "x".repeat(note + 1) }, "a long note")
})

test("the longest claim fits a frame, whatever its numbers", () => {
  const table = Array(messageLimits.blocks).fill(2 ** 32 - 1)
  const granted = { tokens: 2 ** 31, blocks: table, epochs: table, access: "write", holdMillis: 86_400_000 }
  overTheWire({ type: "granted", call: Number.MAX_SAFE_INTEGER, ...granted })
})

test("a refusal with a code of a newer version still comes through, with its words", () => {
  const sent = { type: "refused", call: 3, error: { code: "KV_FROM_THE_FUTURE", what: "the flux is low" } }
  assert.deepEqual(overTheWire(sent), sent)
})

const opening = { credential: "secret", nonce: "00".repeat(32), ephemeral: "00".repeat(32) }

test("a peer of another handshake version is refused with the versions of both, before its fields are read", () => {
  const strangers: [unknown, RegExp][] = [
    [
      { type: "hello", agentId: "old", bootId: "00".repeat(16), nonce: "00".repeat(32) },
      /handshake 1, .* speaks 2/,
    ],
    [{ type: "hello", versions: [3, 4], somethingNew: true }, /handshake 3, 4, .* speaks 2/],
    [{ type: "hello", versions: [] }, /handshake of no version, .* speaks 2/],
    [{ type: "challenge", nonce: "00".repeat(32) }, /handshake 1, .* speaks 2/],
    [{ type: "challenge", version: 3 }, /handshake 3, .* speaks 2/],
  ]
  for (const [message, words] of strangers) assert.match(refusal(message)?.what ?? "", words)
  const both = { type: "hello", versions: [3, 2], ...opening, agentId: "new", bootId: "00".repeat(16) }
  assert.equal(refusal(both), undefined)
  assertRefused({ ...both, versions: Array(17).fill(2) }, "17 versions")
})

test("a name with a control character, a blank, or letters that turn the line around never gets in", () => {
  const hello = { type: "hello", versions: [2], ...opening, bootId: "00".repeat(16) }
  assert.equal(refusal({ ...hello, agentId: "decode-1" }), undefined)
  for (const agentId of ["", "a b", "a\nb", "\u001b[2J", "a\u202eb", "\u0000", "ü", "a\u009b1m"]) {
    const error = refusal({ ...hello, agentId })
    assert.ok(error !== undefined, JSON.stringify(agentId))
    assert.equal(error.what.includes("\u001b"), false)
  }
})

test("a public key has one spelling, and is one that proves something", () => {
  const message = (publicKey: string): unknown => ({
    type: "proof",
    publicKey,
    proof: { mac: "00".repeat(32) },
  })
  assert.equal(refusal(message(`ed25519:${"B".repeat(42)}A`)), undefined)
  for (const key of ["B".repeat(43), "ed25519:", `ed25519:${"B".repeat(43)}`, `ed25519:${"A".repeat(43)}`])
    assertRefused(message(key), key)
  assertRefused({ type: "proof", proof: {} }, "a proof of nothing")
})
