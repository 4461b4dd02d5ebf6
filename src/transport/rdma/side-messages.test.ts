import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../../errors/kv-error.ts"
import { readSideMessage, type SideMessage } from "./side-messages.ts"

const card = { device: "mlx5_0", link: "RoCE v2 over IPv4", network: "10.77.0.0/24", rate: 100 }
const end = { queuePair: 17, gid: "0".repeat(32) }
const messages: readonly SideMessage[] = [
  { type: "greeting", version: 1, nonce: "ab".repeat(16) },
  { type: "hello", session: "01".repeat(16), nonce: "ab".repeat(16), proof: "cd".repeat(32) },
  { type: "refused" },
  {
    type: "welcome",
    proof: "cd".repeat(32),
    rights: { read: true, write: false },
    rails: [card],
    partBytes: 4096,
  },
  { type: "open", call: 1, lanes: [{ place: 0, rail: 1, end }] },
  { type: "opened", call: 1, ends: [end] },
  { type: "not-opened", call: 1, why: "no" },
  {
    type: "regions",
    regions: [{ region: 1, length: 10, iova: 0, rkeys: [0, 1], rights: { read: true, write: true } }],
  },
  { type: "closing", call: 2, region: 1 },
  { type: "left", call: 2 },
  { type: "why", call: 3, direction: "read", region: 0, rail: 0, part: 0, key: 0, offset: 0, length: 8 },
  { type: "because", call: 3, code: "KV_REGION_BOUNDS", what: "it ends before" },
]

test("every message is read as it was written", () => {
  for (const message of messages)
    assert.deepEqual(readSideMessage(JSON.parse(JSON.stringify(message))), message)
})

test("a message with any field left out or replaced is refused, or is still a message", () => {
  const odd = fc.oneof(
    fc.constantFrom<unknown>(undefined, null, -1, 0.5, 2 ** 53, "", "\u001b[31m", [], {}, true, Number.NaN),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(fc.constantFrom(...messages), fc.nat(10), odd, (message, which, value) => {
      const names = Object.keys(message)
      const broken = { ...message, [names[which % names.length]!]: value }
      try {
        readSideMessage(JSON.parse(JSON.stringify(broken)))
      } catch (thrown) {
        assert.ok(thrown instanceof KvError, String(thrown))
        assert.equal(thrown.code, "KV_WIRE_INVALID")
      }
    }),
  )
})

test("what no honest peer sends is refused", () => {
  const long = Array.from({ length: 65 }, () => ({ place: 0, rail: 0, end }))
  const wrong: readonly unknown[] = [
    null,
    [],
    "hello",
    { type: "unheard of" },
    { ...messages[0], nonce: "AB".repeat(16) },
    { type: "open", call: 1, lanes: long },
    { type: "open", call: 1, lanes: [{ place: 64, rail: 0, end }] },
    { type: "opened", call: 1, ends: [{ constructor: "x" }] },
    { type: "opened", call: 1, ends: [{ gid: "\u001b[2J" }] },
    { type: "opened", call: 1, ends: [{ gid: "x".repeat(257) }] },
    {
      type: "opened",
      call: 1,
      ends: [Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`f${i}`, i]))],
    },
    { ...messages[3], partBytes: 0 },
    { ...messages[3], rails: [{ ...card, rate: 0 }] },
    { ...messages[3], rails: [{ device: "mlx5_0" }] },
    { ...messages[11], code: "KV_NOT_OURS" },
    { ...messages[10], key: 2 ** 32 },
  ]
  for (const value of wrong) assert.throws(() => readSideMessage(value), { code: "KV_WIRE_INVALID" })
})
