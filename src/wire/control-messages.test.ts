import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { errorCodes, type KvErrorCode } from "../errors/codes.ts"
import { KvError } from "../errors/kv-error.ts"
import type { Card } from "./card.ts"
import { encodeFrame, FrameReader } from "./control-frame.ts"
import { type ControlMessage, readControlMessage } from "./control-messages.ts"

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((raw) => Buffer.from(raw).toString("hex"))
const text = (max: number): fc.Arbitrary<string> => fc.string({ maxLength: max, unit: "grapheme-ascii" })
const call = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const uint32 = fc.nat({ max: 2 ** 32 - 1 })

const card: fc.Arbitrary<Card> = fc.record({
  agentId: text(128),
  bootId: hex(16),
  pid: fc.nat(),
  software: text(64),
  model: text(128),
  layout: fc.record({
    shape: fc.record({
      layers: fc.integer({ min: 1, max: 1024 }),
      kvHeads: fc.constant(8),
      headDim: fc.integer({ min: 1, max: 256 }),
      elementBytes: fc.integer({ min: 1, max: 8 }),
    }),
    order: fc.constantFrom("head-major", "token-major"),
    blockTokens: fc.integer({ min: 1, max: 1024 }),
    blocks: fc.integer({ min: 1, max: 2 ** 20 }),
    firstHead: fc.integer({ min: 0, max: 4 }),
    heads: fc.integer({ min: 1, max: 4 }),
  }),
  endpoints: fc.array(
    fc.record({
      address: fc.record({ transport: text(32), host: text(60), ports: fc.array(uint32, { maxLength: 4 }) }),
      regions: fc.array(
        fc.record({
          region: uint32,
          length: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
          rkeys: fc.array(uint32, { minLength: 1, maxLength: 4 }),
          iova: fc.nat(),
        }),
        { maxLength: 4 },
      ),
    }),
    { maxLength: 3 },
  ),
})

const type = <T extends ControlMessage["type"]>(name: T): fc.Arbitrary<T> => fc.constant(name)
const message: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({ type: type("hello"), agentId: text(128), bootId: hex(16), nonce: hex(32) }),
  fc.record({ type: type("challenge"), nonce: hex(32) }),
  fc.record({ type: type("proof"), proof: hex(32) }),
  fc.record({ type: type("welcome"), proof: hex(32), card }),
  fc.record({ type: type("present"), card }),
  fc.record({ type: type("claim"), call, lease: hex(16) }),
  fc.record({
    type: type("granted"),
    call,
    tokens: fc.nat({ max: 2 ** 31 }),
    blocks: fc.array(uint32, { maxLength: 50 }),
  }),
  fc.record({ type: type("release"), call, lease: hex(16) }),
  fc.record({ type: type("released"), call }),
  fc.record({
    type: type("refused"),
    call,
    error: fc.record(
      {
        code: fc.constantFrom(...(Object.keys(errorCodes) as KvErrorCode[])),
        what: text(2000),
        why: text(2000),
        next: text(2000),
      },
      { requiredKeys: ["code", "what"] },
    ),
  }),
)

/** A message as the other side gets it. */
function overTheWire(value: unknown): ControlMessage {
  const [frame] = new FrameReader().push(encodeFrame({ body: value }))
  return readControlMessage(frame!.body)
}

function assertRefused(value: unknown, about: string): void {
  try {
    overTheWire(value)
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, `${about}: ${String(thrown)}`)
    assert.ok(["KV_WIRE_INVALID", "KV_PLAN_IMPOSSIBLE"].includes(thrown.code), `${about}: ${thrown.message}`)
    assert.ok(thrown.message.length < 500, `${about}: the peer's words are cut short`)
    return
  }
  assert.fail(`${about} was let through: ${JSON.stringify(value).slice(0, 300)}`)
}

test("every message comes out as it went in", () => {
  fc.assert(
    fc.property(message, (sent) => assert.deepEqual(overTheWire(sent), structuredClone(sent))),
    { numRuns: 400 },
  )
})

/** Paths to every field of a message that must be there; free text of an error and an address is optional. */
function requiredPaths(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([name, field]) => {
    const here = [...path, name]
    const optional = name === "why" || name === "next" || (path.at(-1) === "address" && name !== "transport")
    return [...(optional || Array.isArray(value) ? [] : [here]), ...requiredPaths(field, here)]
  })
}

function withField(
  value: unknown,
  path: readonly string[],
  change: (holder: Record<string, unknown>, name: string) => void,
): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(value))
  let holder = copy as Record<string, unknown>
  for (const name of path.slice(0, -1)) holder = holder[name] as Record<string, unknown>
  change(holder, path.at(-1)!)
  return copy
}

test("a message with a field missing, or of another kind, is refused", () => {
  const wrongValues = [null, true, {}, [], [[]], -1, 0.5, 2 ** 53, 1e308, "", "x".repeat(5000)]
  fc.assert(
    fc.property(message, fc.nat(), (sent, pick) => {
      const paths = requiredPaths(sent)
      const path = paths[pick % paths.length]!
      const about = path.join(".")
      assertRefused(
        withField(sent, path, (holder, name) => delete holder[name]),
        `without ${about}`,
      )
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
    { numRuns: 300 },
  )
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
  ]) {
    assertRefused(value, JSON.stringify(value))
  }
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
  ]) {
    assertRefused({ type: "claim", call: 1, lease }, lease)
  }
})

test("lists are bounded: blocks of a grant, layers and rails of a card", () => {
  const granted = (blocks: unknown): unknown => ({ type: "granted", call: 1, tokens: 1, blocks })
  assertRefused(granted(Array(2 ** 17 + 1).fill(0)), "2^17 + 1 blocks")
  assertRefused(granted([2 ** 32]), "a block id of 33 bits")
  assertRefused(granted([-1]), "a negative block id")
  assertRefused(granted({ length: 3 }), "something like a list")
})

test("a refusal with a code of a newer version still comes through, with its words", () => {
  const sent = { type: "refused", call: 3, error: { code: "KV_FROM_THE_FUTURE", what: "the flux is low" } }
  assert.deepEqual(overTheWire(sent), sent)
})
