import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { TrustEntry } from "../agent/credentials.ts"
import { identityNamed } from "../agent/keys.test.kit.ts"
import { KvError } from "../errors/kv-error.ts"
import { formatPublicKey } from "../wire/public-key.ts"
import { formatTrustLine, parseTrust, trustLimits } from "./trust-text.ts"

const key = identityNamed("one").publicKey
const other = identityNamed("other").publicKey
/** Keys without their private halves: the file's reader needs none. */
const keyNumber = (at: number): string =>
  formatPublicKey(Uint8Array.of(9, at >> 8, at & 0xff, ...new Uint8Array(29).fill(7)))
const entriesOf = (text: string): TrustEntry[] => [...parseTrust(text, "FILE").values()]

function assertWrong(text: string, words: RegExp): KvError {
  try {
    parseTrust(text, "FILE")
  } catch (thrown) {
    assert.ok(thrown instanceof KvError && thrown.code === "KV_USAGE", String(thrown))
    assert.match(thrown.what, words)
    assert.match(thrown.message, /^[\x20-\x7e]*$/, "nothing of the file is raw in the message")
    assert.ok(thrown.what.length < 300)
    return thrown
  }
  assert.fail(`let through: ${text.slice(0, 100)}`)
}

test("a line is a key with what its holder may do; blank lines and comments are passed over", () => {
  const text = [
    "# who may read the caches of this host",
    "",
    `${key} name=decode-1 may=read,write regions=kv,draft until=2027-01-01T00:00:00Z # until the move`,
    `\t${other}   #no words, and a # more`,
    "   ",
  ].join("\n")
  assert.deepEqual(entriesOf(text), [
    {
      publicKey: key,
      name: "decode-1",
      may: { read: true, write: true },
      regions: ["kv", "draft"],
      until: Date.UTC(2027, 0, 1),
    },
    { publicKey: other, may: { read: true, write: false } },
  ])
  assert.deepEqual(entriesOf(""), [])
})

test("without may= a peer may read; may=none is trusted to be called, and may do nothing", () => {
  const may = (text: string) => entriesOf(`${key} ${text}`)[0]?.may
  assert.deepEqual(may(""), { read: true, write: false })
  assert.deepEqual(may("may=none"), { read: false, write: false })
  assert.deepEqual(may("may=write"), { read: false, write: true })
  assert.deepEqual(may("may=write,read"), { read: true, write: true })
  for (const wrong of ["", "read,", "read,read", "Read", "all", "none,read", "read write"])
    assertWrong(`${key} may=${wrong}`, /^FILE, line 1: /)
})

test("what is not understood is refused with its line, and the form is told", () => {
  const cases: [string, RegExp][] = [
    ["hello", /line 2: "hello" is no public key/],
    [key.replace("ed25519:", "ssh-ed25519 "), /line 2: "ssh-ed25519" is no public key/],
    [`${key}=`, /is no public key/],
    [`ed25519:${"A".repeat(43)}`, /is no public key/],
    [`${key} expires=2027-01-01T00:00:00Z`, /"expires=2027-01-01T00:00:00Z" is not understood/],
    [`${key} decode-1`, /"decode-1" is not understood/],
    [`${key} name=a name=b`, /name= is there twice/],
    [`${key} may = read`, /"may" is not understood/],
    [`${key} name=`, /"" is no name/],
    [`${key} name=-a`, /is no name/],
    [`${key} name=${"a".repeat(65)}`, /is no name/],
    [`${key} regions=`, /is no name/],
    [`${key} regions=kv,kv`, /a name of regions= is there twice/],
    [`${key} regions=${Array.from({ length: 17 }, (_, at) => `r${at}`)}`, /more than 16/],
    [`${key} ${" ".repeat(trustLimits.line)}`, /more than 1024 characters/],
    [`${key}\r`, /is no public key/],
    [`${key} name=a#b`, /is no name/],
  ]
  for (const [line, words] of cases) {
    const error = assertWrong(`# first\n${line}\n${other}`, words)
    assert.match(error.next ?? "", /ed25519:KEY name=NAME may=read,write/)
  }
})

test("a key stands in one line only, and keys are counted", () => {
  assertWrong(`${key} may=read\n\n${key} may=read,write`, /line 3: the key is that of line 1/)
  const many = Array.from({ length: trustLimits.entries + 1 }, (_, at) => keyNumber(at))
  assert.equal(entriesOf(many.slice(1).join("\n")).length, trustLimits.entries)
  assertWrong(many.join("\n"), /line 4097: there are more than 4096 keys/)
})

test("a moment is one in UTC that there is", () => {
  const wrong = [
    "2027-02-30T00:00:00Z",
    "2027-13-01T00:00:00Z",
    "2027-01-01T24:00:00Z",
    "2027-01-01T00:00:60Z",
    "2027-01-01T00:00:00",
    "2027-01-01T00:00:00+02:00",
    "2027-01-01",
    "tomorrow",
    "1800000000000",
    "+012027-01-01T00:00:00Z",
  ]
  for (const moment of wrong) assertWrong(`${key} until=${moment}`, /should be a moment in UTC/)
  assert.equal(entriesOf(`${key} until=2028-02-29T23:59:59Z`)[0]?.until, Date.UTC(2028, 1, 29, 23, 59, 59))
})

test("control characters, colours and letters that turn a line around are shown as numbers, never raw", () => {
  for (const hostile of ["\u001b[31mred", "a\u0007", "\u202etxt", "\u009b1m", "\u0000", "é", "\ud800"]) {
    assertWrong(hostile, /is no public key/)
    assertWrong(`${key} name=${hostile}`, /is no name/)
    assertWrong(`${key} ${hostile}`, /is not understood/)
    assertWrong(`${key} may=${hostile}`, /should be read, write/)
  }
})

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
const entry: fc.Arbitrary<TrustEntry> = fc.record(
  {
    publicKey: fc.nat({ max: 999 }).map((at) => keyNumber(at)),
    name,
    may: fc.record({ read: fc.boolean(), write: fc.boolean() }),
    regions: fc.uniqueArray(name, { minLength: 1, maxLength: 8 }),
    until: fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000),
  },
  { requiredKeys: ["publicKey", "may"] },
)

test("what is written as a line is read back the same", () => {
  const list = fc.uniqueArray(entry, { selector: ({ publicKey }) => publicKey, maxLength: 5 })
  fc.assert(
    fc.property(list, (entries) => {
      const text = entries.map((one) => `${formatTrustLine(one)} # a comment`).join("\n")
      assert.deepEqual(
        entriesOf(text),
        entries.map((one) => structuredClone(one)),
      )
    }),
  )
})

test("any text is refused with its line, or is entries that print back the same", () => {
  const word = fc.oneof(
    entry.map(formatTrustLine),
    fc.constantFrom(
      key,
      " ",
      "\n",
      "#",
      "may=",
      "read",
      ",",
      "name=",
      "until=",
      "regions=",
      "none",
      "\t",
      "=",
      "x",
    ),
    fc.string({ unit: "binary", maxLength: 8 }),
  )
  const text = fc.oneof(
    fc.array(word, { maxLength: 12 }).map((words) => words.join("")),
    fc.string({ unit: "binary" }),
    fc.tuple(entry, word).map(([first, then]) => `${formatTrustLine(first)}${then}`),
  )
  let good = 0
  fc.assert(
    fc.property(text, (written) => {
      let entries: TrustEntry[]
      try {
        entries = entriesOf(written)
      } catch (thrown) {
        assert.ok(thrown instanceof KvError && thrown.code === "KV_USAGE", String(thrown))
        assert.match(thrown.message, /^FILE, line \d+: [\x20-\x7e]*$/)
        return
      }
      good += entries.length
      assert.deepEqual(entriesOf(entries.map(formatTrustLine).join("\n")), entries)
    }),
    { numRuns: 2000 },
  )
  assert.ok(good > 50, `${good} entries were good`)
})
