import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { Script } from "node:vm"
import { openSetup } from "../scripted-worker.test.kit.ts"
import { createPage } from "./page.ts"
import { receiptScript } from "./receipt-script.ts"

function between(text: string, from: string, to: string): string {
  const start = text.indexOf(from) + from.length
  return text.slice(start, text.indexOf(to, start))
}

test("the page's policy allows its own style and script, and nothing else", () => {
  const { html, headers } = createPage("tiny")
  const policy = headers["content-security-policy"]!
  const hash = (source: string) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`
  assert.ok(policy.includes(`script-src ${hash(between(html, "<script>", "</script>"))};`))
  assert.ok(policy.includes(`style-src ${hash(between(html, "<style>", "</style>"))};`))
  assert.ok(!policy.includes("unsafe"))
  for (const closed of [
    "default-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]) {
    assert.ok(policy.includes(closed))
  }
})

test("the script parses, and puts nothing into the document but text", () => {
  const script = between(createPage("tiny").html, "<script>", "</script>")
  new Script(script)
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(/)
})

test("the page needs no other file and has no inline handlers or styles, which its policy would not allow", () => {
  const { html } = createPage("tiny")
  assert.doesNotMatch(html, /\b(src|href)="(?!data:)/)
  assert.doesNotMatch(html, /<[^>]*\s(on[a-z]+|style)=/)
})

test("a hostile model name stays text", () => {
  const { html } = createPage('"><script>alert(1)</script>')
  assert.ok(!html.includes("<script>alert"))
  assert.ok(html.includes("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"))
})

test("every label of the page belongs to something", () => {
  const { html } = createPage("tiny")
  const ids = new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id))
  for (const [, id] of html.matchAll(/(?:aria-labelledby|for)="([^"]+)"/g)) assert.ok(ids.has(id!), id)
  const asked = new Set([...html.matchAll(/byId\("([^"]+)"\)/g)].map(([, id]) => id))
  for (const id of asked) assert.ok(ids.has(id!), id)
})

test("the frontend serves it with its policy", async (t) => {
  const { frontend } = await openSetup(t)
  const response = await fetch(frontend.url)
  assert.equal(response.status, 200)
  assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8")
  assert.match(response.headers.get("content-security-policy") ?? "", /script-src 'sha256-/)
  assert.equal(response.headers.get("x-content-type-options"), "nosniff")
})

/** The page's own functions, without a browser. */
function functionsOfPage(): { verdictOf: (record: object) => { kind: string; text: string; more: string } } {
  return new Script(`${receiptScript}; ({ verdictOf })`).runInNewContext()
}

const record = (integrity: object, error: object | null = null) => ({ error, transfer: { integrity } })

test("what a receipt found is said at its level, and no more", () => {
  const { verdictOf } = functionsOfPage()
  const full = verdictOf(record({ level: "full", checked: 36, epochs: 9, verdict: "identical" }))
  assert.equal(full.text, "Every byte arrived")
  assert.equal(full.more, "36 hashes and 9 stamps compared.")
  const sampled = verdictOf(record({ level: "sampled", checked: 4, epochs: 9, verdict: "identical" }))
  assert.equal(sampled.text, "The samples agree")
  const epoch = verdictOf(record({ level: "epoch", checked: 0, epochs: 1, verdict: "current" }))
  assert.equal(epoch.text, "No block was reused")
  assert.equal(epoch.more, "1 stamp compared; level epoch asks for no hashes.")
  const none = verdictOf(record({ level: "none", checked: 0, epochs: 0, verdict: "unchecked" }))
  assert.equal(none.kind, "open")
})

test("a reuse and a difference are told as such, whatever the error says", () => {
  const { verdictOf } = functionsOfPage()
  const error = { code: "KV_BLOCK_REUSED", message: "…" }
  const reused = verdictOf(record({ level: "epoch", checked: 0, epochs: 9, verdict: "reused" }, error))
  assert.equal(reused.kind, "bad")
  assert.equal(reused.text, "Blocks were reused")
  const place = { layer: 2, block: 3 }
  const integrity = { level: "full", checked: 36, epochs: 9, verdict: "different", firstDifference: place }
  const different = verdictOf(record(integrity, { code: "KV_BYTES_DIFFER", message: "…" }))
  assert.equal(different.text, "Bytes differ")
  assert.equal(different.more, "First difference: layer 2, block 3.")
})
