import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { harmless, styleFor } from "./style.ts"

const terminal = { isTTY: true }
const pipe = { isTTY: false }

/** True when text is painted. */
const paints = (stream: { isTTY: boolean }, env: NodeJS.ProcessEnv): boolean =>
  styleFor(stream, env).bad("x") !== "x"

test("colour is for terminals, unless the environment says otherwise", () => {
  const cases: [{ isTTY: boolean }, NodeJS.ProcessEnv, boolean][] = [
    [terminal, {}, true],
    [pipe, {}, false],
    [terminal, { TERM: "dumb" }, false],
    [terminal, { TERM: "xterm" }, true],
    [pipe, { FORCE_COLOR: "1" }, true],
    [pipe, { FORCE_COLOR: "" }, true],
    [terminal, { FORCE_COLOR: "0" }, false],
    [terminal, { TERM: "dumb", FORCE_COLOR: "1" }, true],
    [terminal, { NO_COLOR: "1" }, false],
    [terminal, { NO_COLOR: "" }, true],
    [pipe, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
  ]
  for (const [stream, env, painted] of cases) {
    assert.equal(paints(stream, env), painted, `${JSON.stringify(stream)} ${JSON.stringify(env)}`)
  }
})

test("every style ends what it began, and the words stay", () => {
  const style = styleFor(terminal, {})
  for (const paint of [style.good, style.bad, style.strong, style.faint]) {
    assert.match(JSON.stringify(paint("words")), /^"\\u001b\[\d+mwords\\u001b\[\d+m"$/)
  }
  assert.notEqual(style.good("x"), style.bad("x"))
})

test("harmless() leaves no control and no direction mark but line ends and tabs, whatever comes in", () => {
  const nasty = fc.array(
    fc.constantFrom(
      "\u001b",
      "\r",
      "\u0000",
      "\u0007",
      "\u009b",
      "\u202e",
      "\u2066",
      "\u061c",
      "\u200f",
      "\n",
      "\t",
      "a",
      "é",
      "漢",
      "😀",
    ),
  )
  const inputs = fc.oneof(
    fc.array(fc.nat({ max: 0xd7ff }), { maxLength: 20 }).map((codes) => String.fromCodePoint(...codes)),
    nasty.map((parts) => parts.join("")),
  )
  fc.assert(
    fc.property(inputs, (text) => {
      assert.doesNotMatch(harmless(text), /[\p{Bidi_Control}]|(?![\n\t])\p{Cc}/u)
    }),
  )
})

test("harmless() shows what it took away, and lets other text be", () => {
  assert.equal(harmless("\u001b[31mred\r\n\tok"), "\\x1b[31mred\\x0d\n\tok")
  assert.equal(harmless("\u202egnp.exe"), "\\x202egnp.exe")
  assert.equal(harmless("Grüße 漢字 😀"), "Grüße 漢字 😀")
})
