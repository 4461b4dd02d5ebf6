import assert from "node:assert/strict"
import { test } from "node:test"
import { AssertionFailed, assert as assertInvariant, unreachable } from "./assert.ts"
import { errorCodes, type KvErrorCode } from "./codes.ts"
import { asKvError, isKvErrorCode, KvError, kvErrorFromRecord } from "./kv-error.ts"

test("an error reads as what happened, why, and what to do; what is not known is left out", () => {
  const cause = new Error("below")
  const error = new KvError("KV_OS", { what: "it broke", why: "too old", next: "buy another", cause })
  assert.equal(error.message, "it broke; why: too old; next: buy another")
  assert.equal(error.cause, cause)
  assert.equal(new KvError("KV_OS", { what: "it broke" }).message, "it broke")
  assert.equal("cause" in new KvError("KV_OS", { what: "it broke" }), false)
})

test("every code has an exit code and a status that belong together", () => {
  for (const code of Object.keys(errorCodes) as KvErrorCode[]) {
    const error = new KvError(code, { what: "x" })
    assert.ok([1, 2, 3, 130].includes(error.exitCode), code)
    assert.ok(error.status >= 400 && error.status < 600, code)
    assert.match(code, /^KV_[A-Z_]+$/)
  }
})

test("an error that crossed a process comes out with its code and words", () => {
  for (const text of [
    { what: "a" },
    { what: "a", why: "b" },
    { what: "a", next: "c" },
    { what: "a", why: "b", next: "c" },
  ]) {
    const sent = new KvError("KV_DEADLINE", text)
    const got = kvErrorFromRecord(JSON.parse(JSON.stringify(sent)), "KV_INTERNAL")
    assert.deepEqual(got.toJSON(), sent.toJSON())
    assert.equal(got.message, sent.message)
  }
})

test("a record with a code that we do not know keeps its words under the code of the caller", () => {
  const error = kvErrorFromRecord(
    { code: "KV_FROM_THE_FUTURE", what: "the flux is low", next: "wait" },
    "KV_PEER_REFUSED",
  )
  assert.deepEqual(error.toJSON(), { code: "KV_PEER_REFUSED", what: "the flux is low", next: "wait" })
})

test("what is no record at all becomes the caller's code, whatever it is", () => {
  const hostile = JSON.parse('{"toString":1,"valueOf":1,"__proto__":{"code":"KV_OS"}}') as unknown
  for (const record of [
    undefined,
    null,
    5,
    "text",
    [],
    {},
    hostile,
    { code: 1, what: 2 },
    Object.create(null),
    { code: "KV_OS" },
  ]) {
    const error = kvErrorFromRecord(record, "KV_PEER_REFUSED")
    assert.equal(error.code, "KV_PEER_REFUSED")
    assert.ok(error.what.length < 400)
  }
})

test("names of the language are no codes", () => {
  for (const name of ["toString", "__proto__", "constructor", "", "kv_os", 5, null])
    assert.equal(isKvErrorCode(name), false)
  assert.equal(isKvErrorCode("KV_OS"), true)
})

test("what was thrown becomes one of ours, with the reason kept", () => {
  const ours = new KvError("KV_OS", { what: "x" })
  assert.equal(asKvError(ours, "KV_INTERNAL", "y"), ours)
  const wrapped = asKvError(new TypeError("no such field"), "KV_INTERNAL", "y")
  assert.deepEqual([wrapped.code, wrapped.what, wrapped.why], ["KV_INTERNAL", "y", "no such field"])
  assert.equal(asKvError("text", "KV_INTERNAL", "y").why, "text")
})

test("a broken invariant is no KvError: it is our mistake", () => {
  assertInvariant(true, "holds")
  assert.throws(() => assertInvariant(false, "does not hold"), /broken invariant: does not hold/)
  assert.throws(() => unreachable("x" as never, "no such case"), AssertionFailed)
})
