import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { grantMillisMax, readGrant } from "../wire/grant.ts"
import { decideGrant, type GrantQuestion } from "./decide-grant.ts"

const now = 1_800_000_000_000
const question: GrantQuestion = {
  peer: { how: "key", rights: { read: true, write: false } },
  direction: "read",
  policy: { rights: { read: true, write: true }, lifetimeMillis: 60_000 },
  offered: [
    { region: 4, cache: "kv", access: { read: true, write: true } },
    { region: 2, cache: "kv", access: { read: true, write: true } },
    { region: 9, cache: "kv", access: { read: true, write: false } },
    { region: 1, cache: "draft", access: { read: true, write: true } },
  ],
  wallMillis: now,
}
const peer = (changes: Partial<GrantQuestion["peer"]>): GrantQuestion => ({
  ...question,
  peer: { ...question.peer, ...changes },
})

function assertRefused(asked: GrantQuestion, why: RegExp): void {
  assert.throws(
    () => decideGrant(asked),
    (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_PEER_UNTRUSTED", String(error))
      assert.match(error.why ?? "", why)
      return true
    },
  )
}

test("a peer gets the regions that its entry names, in the order in which they are offered", () => {
  const terms = { direction: "read", expiresMillis: 60_000 }
  assert.deepEqual(decideGrant(question), { ...terms, regions: [4, 2, 9, 1] })
  assert.deepEqual(decideGrant(peer({ regions: ["kv"] })), { ...terms, regions: [4, 2, 9] })
  assert.deepEqual(decideGrant(peer({ regions: ["draft", "more"] })), { ...terms, regions: [1] })
})

test("a write is granted where entry, policy and region all allow it, and nowhere else", () => {
  const writing = { ...peer({ rights: { read: true, write: true } }), direction: "write" as const }
  assert.deepEqual(decideGrant(writing).regions, [4, 2, 1])
  assertRefused({ ...question, direction: "write" }, /does not say may=write/)
  const policy = { ...question.policy, rights: { read: true, write: false } }
  assertRefused({ ...writing, policy }, /grants no write to anybody/)
  const offered = question.offered.map((region) => ({ ...region, access: { read: true, write: false } }))
  assertRefused({ ...writing, offered }, /no region was registered for a write/)
})

test("no right, no region and no time are refused by what is missing", () => {
  assertRefused(peer({ rights: { read: false, write: false } }), /does not say may=read/)
  assertRefused(peer({ rights: { read: false, write: true } }), /does not say may=read/)
  assertRefused(peer({ regions: ["other"] }), /names none of the regions/)
  assertRefused(peer({ regions: [] }), /names none of the regions/)
  assertRefused({ ...question, offered: [] }, /no region is registered/)
  for (const until of [now, now - 1, 0, now + 0.5]) assertRefused(peer({ until }), /has ended/)
})

test("a grant ends with the entry, with the policy's lifetime, or after a day: whichever is first", () => {
  assert.equal(decideGrant(peer({ until: now + 5 })).expiresMillis, 5)
  assert.equal(decideGrant(peer({ until: now + 5e9 })).expiresMillis, 60_000)
  const policy = { ...question.policy, lifetimeMillis: 1e12 }
  assert.equal(decideGrant({ ...question, policy }).expiresMillis, grantMillisMax)
})

const rights = fc.record({ read: fc.boolean(), write: fc.boolean() })
const anyQuestion: fc.Arbitrary<GrantQuestion> = fc
  .record({
    rights,
    regions: fc.option(fc.subarray(["kv", "draft"]), { nil: undefined }),
    until: fc.option(fc.integer({ min: now - 5, max: now + 50 }), { nil: undefined }),
    direction: fc.constantFrom("read", "write"),
    policy: fc.record({ rights, lifetimeMillis: fc.integer({ min: 1, max: 40 }) }),
    offered: fc.uniqueArray(
      fc.record({ region: fc.nat({ max: 9 }), cache: fc.constantFrom("kv", "draft"), access: rights }),
      { selector: ({ region }) => region, maxLength: 6 },
    ),
  })
  .map(({ rights: may, regions, until, direction, policy, offered }) => ({
    peer: {
      how: "key",
      rights: may,
      ...(regions === undefined ? {} : { regions }),
      ...(until === undefined ? {} : { until }),
    },
    direction,
    policy,
    offered,
    wallMillis: now,
  }))

test("whatever is asked, a grant is never more than the least of entry, policy and region", () => {
  let granted = 0
  fc.assert(
    fc.property(anyQuestion, (asked) => {
      const { peer: who, direction, policy, offered } = asked
      const allowed = offered.filter(
        ({ cache, access }) => access[direction] && (who.regions?.includes(cache) ?? true),
      )
      const may =
        policy.rights[direction] &&
        who.rights[direction] &&
        allowed.length > 0 &&
        (who.until ?? now + 1) > now
      let terms: ReturnType<typeof decideGrant> | undefined
      try {
        terms = decideGrant(asked)
      } catch (thrown) {
        assert.ok(thrown instanceof KvError, String(thrown))
      }
      assert.equal(terms !== undefined, may)
      if (terms === undefined) return
      granted += 1
      assert.deepEqual(
        terms.regions,
        allowed.map(({ region }) => region),
      )
      assert.ok(terms.expiresMillis <= policy.lifetimeMillis)
      assert.ok(now + terms.expiresMillis <= (who.until ?? Number.POSITIVE_INFINITY))
      const grant = { version: 1, bootId: "00".repeat(16), ...terms, endpoints: [] }
      assert.deepEqual(readGrant(grant), grant, "and can be sent")
    }),
    { numRuns: 1000 },
  )
  assert.ok(granted > 50, `${granted} were granted`)
})
