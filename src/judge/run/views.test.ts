import assert from "node:assert/strict"
import { test } from "node:test"
import { machineFacts } from "../../bench/machine.ts"
import { styleFor } from "../../terminal/style.ts"
import { type CaseResult, type EngineResult, type VerifyDocument, verdictOf } from "../verify-document.ts"
import { junitXml, xmlText } from "./junit.ts"
import { exitCodeOf } from "./run-verify.ts"
import { verifyLines } from "./verify-text.ts"

const hostile = "\u001b[2J\u0007 <&\"'> \u202e \ud800 \u0000 ]]> é"

const result = (id: string, more: Partial<CaseResult>): CaseResult => ({
  id,
  suite: id.split("/")[0]!,
  title: "Something is lost.",
  verdict: "passed",
  millis: 12,
  bytesChecked: 1000,
  ...more,
})

const failing = result("shapes/two", {
  verdict: "failed",
  finding: { kind: "wrong-bytes", cause: "base-address", text: hostile, log: `${hostile}\nlast words` },
})

function documentOf(...engines: readonly EngineResult[]): VerifyDocument {
  return {
    schema: "kvferry/verify/1",
    software: "0",
    startedAt: "2026-01-01T00:00:00.000Z",
    tookMillis: 1,
    seed: 1,
    machine: machineFacts(),
    evidence: "lab",
    interrupted: false,
    engines,
    verdict: verdictOf({ engines, interrupted: false }),
  }
}

const passed = result("shapes/one", {})
const refused = result("order/three", { verdict: "not supported", why: hostile })
const good: EngineResult = { engine: "good", about: "fine", cases: [passed, refused] }
const bad: EngineResult = { engine: "bad:path", about: hostile, stopped: "enough", cases: [passed, failing] }
const absent: EngineResult = { engine: "absent", unavailable: hostile, cases: [refused] }
const plain = styleFor({}, {})

test("a matrix shows each case of each engine, also what was not run", () => {
  const lines = verifyLines(documentOf(good, bad), plain)
  assert.ok(lines.includes("shapes/one   ok       ok"), lines.join("\n"))
  assert.ok(lines.includes("shapes/two   not run  FAILED"))
  assert.ok(lines.includes("order/three  -        not run"))
  assert.match(
    lines.join("\n"),
    /FAILED bad:path shapes\/two {2}wrong-bytes: base-address\n {2}would cost: Something/,
  )
  assert.match(lines.join("\n"), /bad:path was stopped: enough/)
  assert.match(lines.at(-1)!, /^verdict: failed/)
})

test("an engine that moved the right bytes and broke another promise is told apart from one that did not", () => {
  const other = { ...failing, finding: { kind: "no-error", text: "it was called done" } }
  const lines = verifyLines(documentOf(good, bad, { ...bad, engine: "kind", cases: [passed, other] }), plain)
  const text = lines.join("\n")
  assert.match(text, /^failed {2}bad:path: 1 passed, 1 failed \(1 with wrong bytes\), /m)
  assert.match(text, /^failed {2}kind: 1 passed, 1 failed \(none with wrong bytes\), /m)
  assert.match(text, /^passed {2}good: 1 passed, 0 failed, /m)
})

test("an engine that supports none of the cases has passed nothing", () => {
  const none = {
    ...good,
    engine: "none",
    cases: [{ ...passed, verdict: "not supported" as const, why: "it cannot" }],
  }
  assert.match(
    verifyLines(documentOf(none), plain).join("\n"),
    /^not judged {2}none: 0 passed, 0 failed, 1 not supported/m,
  )
})

test("a run of which nothing failed and not all was judged has neither passed nor failed", () => {
  const none = { ...good, engine: "none", cases: [refused] }
  const last = (...engines: EngineResult[]): string => verifyLines(documentOf(...engines), plain).at(-1)!
  assert.match(last(good), /^verdict: passed \(/)
  assert.match(last(good, absent), /^verdict: not judged: absent does not run here; nothing failed \(/)
  assert.match(
    last(absent, none, { ...absent, engine: "gone" }),
    /^verdict: not judged: absent, gone do not run here, none supports none of the cases; nothing failed \(/,
  )
  assert.match(last(), /^verdict: not judged: no engine runs here; nothing failed \(/)
  assert.match(last(bad, absent), /^verdict: failed \(/)
  assert.equal(verdictOf({ engines: [good], interrupted: true }), "not judged")
  assert.equal(verdictOf({ engines: [good, bad], interrupted: true }), "failed")
  const interrupted = { ...documentOf(good), interrupted: true, verdict: "not judged" as const }
  assert.match(
    verifyLines(interrupted, plain).at(-1)!,
    /^verdict: interrupted: this is only what there was until then; not judged \(/,
  )
})

test("what engines say is never raw on a terminal", () => {
  const text = verifyLines(documentOf(good, bad, absent), plain).join("\n")
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Bidi_Control}\p{Cs}]/u)
})

test("JUnit is well-formed XML 1.0, whatever an engine says", () => {
  const xml = junitXml(documentOf(good, bad, absent))
  assert.doesNotMatch(xml, /[^\t\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u)
  // Outside of tags there is no angle bracket, and no ampersand that is not the start of a reference.
  assert.doesNotMatch(xml.replace(/<[^<>]*>/g, ""), /[<>]|&(?!#\d+;)/)
  const opened = [...xml.matchAll(/<(\/?)([a-z-]+)[^<>]*?(\/?)>/g)]
  const depth = opened.reduce((sum, [, close, , self]) => sum + (close !== "" ? -1 : self !== "" ? 0 : 1), 0)
  assert.equal(depth, 0)
  assert.match(xml, /<testsuite name="bad:path shapes" tests="2" failures="1" errors="0" skipped="0"/)
  assert.match(xml, /<testsuite name="absent order" tests="1" failures="0" errors="1" skipped="0"/)
  assert.equal(xmlText("a<b & \u0000"), "a&#60;b &#38; \\u{0}")
})

test("the exit code says what the run has found", () => {
  assert.equal(exitCodeOf(documentOf(good)), 0)
  assert.equal(exitCodeOf(documentOf(good, bad)), 1)
  assert.equal(exitCodeOf(documentOf(bad, absent)), 1)
  assert.equal(exitCodeOf(documentOf(good, absent)), 3)
  assert.equal(exitCodeOf(documentOf()), 3)
  assert.equal(exitCodeOf({ ...documentOf(bad), interrupted: true }), 130)
})
