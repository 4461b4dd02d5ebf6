import assert from "node:assert/strict"
import { connect } from "node:net"
import { test } from "node:test"
import { openSetup, saying, told } from "./scripted-worker.test.kit.ts"

const completion = { model: "tiny", prompt: "abc" }
const COMPLETIONS = "/v1/completions"
const CHAT = "/v1/chat/completions"

test("request ids are the client's own when sane, else ours, on every response", async (t) => {
  const setup = await openSetup(t)
  for (const [sent, kept] of [
    ["my-id.1:a_B", true],
    ["x".repeat(128), true],
    ["x".repeat(129), false],
    ["has space", false],
    ["<script>", false],
  ] as const) {
    for (const path of [COMPLETIONS, "/nowhere"]) {
      const response = await setup.post(path, completion, { "x-request-id": sent })
      const id = response.headers.get("x-request-id")!
      if (kept) assert.equal(id, sent)
      else assert.match(id, /^req-[0-9a-f]{24}$/)
    }
  }
})

test("a request under a foreign host name is turned away from a loopback server", async (t) => {
  const setup = await openSetup(t)
  const { port } = setup.frontend
  const status = async (host: string, target = "/v1/models") => {
    const socket = connect(port, "127.0.0.1")
    socket.end(`GET ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
    const chunks: Buffer[] = []
    for await (const chunk of socket) chunks.push(chunk)
    return Number(Buffer.concat(chunks).toString().split(" ")[1])
  }
  for (const host of [`127.0.0.1:${port}`, "localhost", "LocalHost:80", `[::1]:${port}`]) {
    assert.equal(await status(host), 200, host)
  }
  for (const host of [
    "evil.example",
    `evil.example:${port}`,
    "127.0.0.1.evil.example",
    "localhost.evil",
    "",
    "a b",
    "127.0.0.1@x",
  ]) {
    assert.equal(await status(host), 403, host)
  }
  assert.equal(await status("localhost", "/a\\b"), 400)
})

test("trace contexts are continued, or made when they are not valid", async (t) => {
  const setup = await openSetup(t)
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
  const sent: [string, RegExp][] = [
    [`00-${traceId}-00f067aa0ba902b7-01`, new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`)],
    [`00-${traceId}-0000000000000000-01`, /^00-(?!4bf92f)[0-9a-f]{32}-[0-9a-f]{16}-00$/],
    ["nonsense", /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/],
  ]
  for (const [traceparent, expected] of sent) {
    await (await setup.post(COMPLETIONS, completion, { traceparent })).text()
    const [prefill, decode] = [setup.prefill.calls.at(-1)!, setup.decode.calls.at(-1)!].map(
      ({ body }) => (body as { trace: string }).trace,
    )
    assert.match(prefill!, expected)
    assert.equal(decode, prefill)
    assert.ok(!prefill!.includes("00f067aa0ba902b7"), "the span is ours")
    assert.equal((await setup.receipts("?limit=1"))[0]!["trace"], prefill)
  }
})

test("unknown routes are a 404 and wrong methods a 405 that says which is right", async (t) => {
  const setup = await openSetup(t)
  const unknown = await told(setup, "/v1/embeddings", {})
  assert.equal(unknown.status, 404)
  assert.match(unknown.error.message, /there is no "\/v1\/embeddings" here/)
  for (const [method, path, allow] of [
    ["GET", CHAT, "POST"],
    ["DELETE", COMPLETIONS, "POST"],
    ["POST", "/v1/models", "GET, HEAD"],
    ["PUT", "/health", "GET, HEAD"],
    ["POST", "/", "GET, HEAD"],
    ["DELETE", "/v1/models/tiny", "GET, HEAD"],
  ] as const) {
    const response = await fetch(setup.frontend.url + path, { method })
    assert.deepEqual([response.status, response.headers.get("allow")], [405, allow], `${method} ${path}`)
    assert.match(await response.text(), /"code":"KV_REQUEST_INVALID"/)
  }
  assert.equal((await fetch(`${setup.frontend.url}/health`, { method: "HEAD" })).status, 200)
})

test("one request more than the limit is a 503 with Retry-After, and the next one after that is answered", async (t) => {
  const setup = await openSetup(t, saying("hello", 40), { limits: { requests: 2 } })
  const running = [setup.post(COMPLETIONS, completion), setup.post(COMPLETIONS, completion)]
  while (setup.prefill.calls.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  const { status, error, headers } = await told(setup, COMPLETIONS, completion)
  assert.deepEqual([status, error.code, headers.get("retry-after")], [503, "KV_LIMIT", "1"])
  for (const answer of running) assert.equal((await answer).status, 200)
  assert.equal((await setup.post(COMPLETIONS, completion)).status, 200)
})

test("a client that does not send what it announced is dropped", async (t) => {
  const setup = await openSetup(t, {}, { limits: { uploadMillis: 200 } })
  const socket = connect(setup.frontend.port, "127.0.0.1")
  socket.write(
    "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
  )
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1.1 408 /)
  assert.equal((await setup.post(COMPLETIONS, completion)).status, 200)
})
