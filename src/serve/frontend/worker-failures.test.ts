import assert from "node:assert/strict"
import { once } from "node:events"
import type { ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { createServer } from "node:net"
import { test } from "node:test"
import type { DecodeRequest } from "../protocol.ts"
import {
  endEvent,
  line,
  openScriptedWorker,
  openSetup,
  prefillAnswer,
  receiptOf,
  type Setup,
  saying,
  sendJson,
  streamText,
  type Told,
  tokenEvents,
  told,
  transferred,
} from "./scripted-worker.test.kit.ts"

const whole = { model: "tiny", prompt: "abc" }

function toldError(setup: Setup, body: object = whole): Promise<Told> {
  return told(setup, "/v1/completions", body)
}

async function eventsOf(setup: Setup): Promise<{ text: string; error?: Told["error"]; done: boolean }> {
  const response = await setup.post("/v1/completions", { ...whole, stream: true })
  assert.equal(response.status, 200)
  const frames = (await response.text()).split("\n\n").filter((frame) => frame !== "")
  const payloads = frames.map((frame) => frame.replace(/^data: /, ""))
  const events = payloads.filter((text) => text !== "[DONE]").map((text) => JSON.parse(text))
  const error = events.find((event) => event.error !== undefined)?.error
  const text = events.map((event) => event.choices?.[0]?.text ?? "").join("")
  return { text, error, done: payloads.includes("[DONE]") }
}

/** A URL on this machine where nobody listens. */
async function deadUrl(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  return `http://127.0.0.1:${port}`
}

function begin(request: DecodeRequest, response: ServerResponse, text: string): void {
  response.writeHead(200)
  response.write([transferred(request), ...tokenEvents(text)].map(line).join(""))
}

test("a prefill worker that is not there is a 503 that names it, and the frontend stays up", async (t) => {
  const url = await deadUrl()
  const setup = await openSetup(t, {}, { prefill: [url] })
  const { status, error } = await toldError(setup)
  assert.equal(status, 503)
  assert.equal(error.code, "KV_WORKER_LOST")
  assert.equal(error.type, "server_error")
  assert.ok(error.message.includes(url) && error.message.includes("ECONNREFUSED"), error.message)
  assert.equal((await fetch(`${setup.frontend.url}/v1/models`)).status, 200)
})

test("when one prefill worker is down the other one answers, and is asked first afterwards", async (t) => {
  const alive = await openScriptedWorker("prefill")
  t.after(() => alive.die())
  const setup = await openSetup(t, {}, { prefill: [await deadUrl(), alive.url] })
  for (let round = 1; round <= 3; round++) {
    assert.equal((await setup.post("/v1/completions", whole)).status, 200)
    assert.equal(alive.calls.length, round)
  }
})

test("when one decode worker is down the other one takes the blocks", async (t) => {
  const alive = await openScriptedWorker("decode")
  t.after(() => alive.die())
  const setup = await openSetup(t, {}, { decode: [await deadUrl(), alive.url] })
  assert.equal((await setup.post("/v1/completions", whole)).status, 200)
  assert.equal(alive.calls.length, 1)
  assert.ok(!setup.prefill.calls.some(({ path }) => path.endsWith("release")))
})

test("requests are dealt over healthy workers in turn", async (t) => {
  const second = await openScriptedWorker("prefill")
  t.after(() => second.die())
  const first = await openScriptedWorker("prefill")
  t.after(() => first.die())
  const setup = await openSetup(t, {}, { prefill: [first.url, second.url] })
  for (let round = 0; round < 4; round++) await (await setup.post("/v1/completions", whole)).text()
  assert.deepEqual([first.calls.length, second.calls.length], [2, 2])
})

test("when no decode worker can be reached the prefill worker gets its blocks back", async (t) => {
  const setup = await openSetup(t, {}, { decode: [await deadUrl()] })
  const { status, error } = await toldError(setup)
  assert.deepEqual([status, error.code], [503, "KV_WORKER_LOST"])
  const release = await setup.prefill.called("/kvferry/v1/release")
  assert.equal((release.body as { lease: string }).lease, "lease-1")
})

test("a decode worker that refuses leads to its own error and a release", async (t) => {
  const setup = await openSetup(t, {
    decode: {
      decode: (_, response) =>
        sendJson(response, 503, {
          error: { code: "KV_POOL_EXHAUSTED", what: "0 of 64 blocks are free", next: "wait" },
        }),
    },
  })
  const { status, error } = await toldError(setup)
  assert.deepEqual([status, error.code], [503, "KV_POOL_EXHAUSTED"])
  assert.match(error.message, /decode worker at .* reported: 0 of 64 blocks are free; next: wait/)
  await setup.prefill.called("/kvferry/v1/release")
})

test("a worker that finds our call wrong is never blamed on the client", async (t) => {
  const refusals = [
    [401, { error: { code: "KV_PEER_UNTRUSTED", what: "wrong secret" } }, "KV_PEER_UNTRUSTED", 502],
    [400, { error: { code: "KV_REQUEST_INVALID", what: "unknown field" } }, "KV_REQUEST_INVALID", 502],
    [400, { code: "KV_PROMPT_TOO_LONG", what: "513 tokens, 512 fit" }, "KV_PROMPT_TOO_LONG", 400],
    [500, { error: { code: "KV_INVENTED", what: "x" } }, "KV_PEER_REFUSED", 502],
    [404, "not an object", "KV_WIRE_INVALID", 502],
  ] as const
  const setup = await openSetup(t)
  for (const [workerStatus, body, code, status] of refusals) {
    setup.prefill.script = { prefill: (_, response) => sendJson(response, workerStatus, body) }
    const told = await toldError(setup)
    assert.deepEqual([told.status, told.error.code], [status, code], told.error.message)
  }
})

test("what a prefill worker answers is held against what it was asked", async (t) => {
  const setup = await openSetup(t)
  const answers: ((answer: ReturnType<typeof prefillAnswer>) => unknown)[] = [
    (answer) => ({ ...answer, requestId: "another" }),
    (answer) => ({ ...answer, promptTokens: 4 }),
    (answer) => ({ ...answer, firstToken: -1 }),
    (answer) => ({ ...answer, surprise: true }),
    () => [],
    () => null,
  ]
  for (const change of answers) {
    setup.prefill.script = {
      prefill: (request, response) => sendJson(response, 200, change(prefillAnswer(request))),
    }
    const { status, error } = await toldError(setup)
    assert.deepEqual([status, error.code], [502, "KV_WIRE_INVALID"], error.message)
  }
  await setup.prefill.called("/kvferry/v1/release")
  setup.prefill.script = { prefill: (_, response) => void response.end("{ half") }
  assert.match((await toldError(setup)).error.message, /6 bytes that are not JSON/)
})

test("an answer larger than the limit is not read to its end", async (t) => {
  const setup = await openSetup(
    t,
    { prefill: { prefill: (_, response) => void response.end("x".repeat(5000)) } },
    { limits: { workerAnswerBytes: 4096 } },
  )
  const { status, error } = await toldError(setup)
  assert.deepEqual([status, error.code], [502, "KV_WIRE_INVALID"])
  assert.match(error.message, /more than 4096 bytes/)
})

test("a prefill worker that dies with the request in its hands is a 503", async (t) => {
  const setup = await openSetup(t, { prefill: { prefill: (_, response) => void response.destroy() } })
  const { status, error } = await toldError(setup)
  assert.deepEqual([status, error.code], [503, "KV_WORKER_LOST"])
})

test("a stream that is cut off in the middle is an error event after the text, and no [DONE]", async (t) => {
  const setup = await openSetup(t, {
    decode: {
      decode: (request, response) => {
        begin(request, response, "hel")
        setTimeout(() => response.destroy(), 20)
      },
    },
  })
  const { text, error, done } = await eventsOf(setup)
  assert.deepEqual([text, done], ["hel", false])
  assert.equal(error?.code, "KV_WORKER_LOST")
  assert.match(error!.message, /lost after 3 tokens/)
  const [receipt] = await setup.receipts()
  assert.equal(receipt!["completionTokens"], 3)
  assert.equal((receipt!["error"] as { code: string }).code, "KV_WORKER_LOST")
  assert.equal((receipt!["transfer"] as { bytes: number }).bytes, 65536)
  assert.equal((await toldError(setup)).status, 503, "whole answers get a status")
})

test("a stream that ends cleanly without an end event was cut off too", async (t) => {
  const setup = await openSetup(t, {
    decode: {
      decode: (request, response) => {
        begin(request, response, "hello")
        response.end()
      },
    },
  })
  const { error, done } = await eventsOf(setup)
  assert.deepEqual([error?.code, done], ["KV_WORKER_LOST", false])
  assert.match(error!.message, /no end event/)
})

test("a decode worker is held to the protocol, line by line", async (t) => {
  const setup = await openSetup(t)
  const hello = tokenEvents("hello").map(line).join("")
  const wrongs: Record<string, (request: DecodeRequest) => string> = {
    "not JSON": (request) => `${line(transferred(request))}garbage\n`,
    "not an event": (request) => `${line(transferred(request))}{"event":"surprise"}\n`,
    "a token first": () => hello,
    "another first token": (request) => line(transferred(request)) + tokenEvents("jello").map(line).join(""),
    "a gap": (request) =>
      line(transferred(request)) +
      tokenEvents("hello")
        .filter((_, at) => at !== 2)
        .map(line)
        .join(""),
    "too many tokens": (request) =>
      line(transferred(request)) + tokenEvents("h".repeat(17)).map(line).join(""),
    "a token outside the vocabulary": (request) =>
      line(transferred(request)) +
      line({ event: "token", index: 0, token: 104 }) +
      line({ event: "token", index: 1, token: 257 }),
    "a wrong count": (request) => line(transferred(request)) + hello + line(endEvent(7)),
    "something after the end": (request) => line(transferred(request)) + hello + line(endEvent(6)) + hello,
    "two transfers": (request) => line(transferred(request)).repeat(2),
    "another request's receipt": (request) => line(transferred({ ...request, requestId: "another" })),
    "a receipt of another version": () =>
      line({ event: "transferred", receipt: { schema: "kvferry/receipt/9" } }),
  }
  for (const [name, lines] of Object.entries(wrongs)) {
    setup.decode.script = { decode: (request, response) => void response.end(lines(request)) }
    const { status, error } = await toldError(setup)
    assert.deepEqual([status, error.code], [502, "KV_WIRE_INVALID"], `${name}: ${error.message}`)
  }
})

test("no token of a transfer that was not proven reaches the client", async (t) => {
  const setup = await openSetup(t)
  for (const change of [
    { state: "failed" as const },
    { integrity: { level: "full", checked: 8, verdict: "different" } as const },
  ]) {
    setup.decode.script = {
      decode: (request, response) => {
        const lied = line({ event: "transferred", receipt: { ...receiptOf(request), ...change } })
        response.end(lied + tokenEvents("hello").map(line).join("") + line(endEvent(6)))
      },
    }
    const { status, error } = await toldError(setup, { ...whole, stream: true })
    assert.deepEqual([status, error.code], [500, "KV_BYTES_DIFFER"])
  }
})

test("an error event before the first token is still an HTTP status, with its receipt kept", async (t) => {
  const setup = await openSetup(t, {
    decode: {
      decode: (request, response) => {
        const receipt = {
          ...receiptOf(request),
          state: "failed",
          integrity: { level: "full", checked: 8, verdict: "different" },
        }
        const error = { code: "KV_BYTES_DIFFER", what: "layer 2, block 1 differs", receipt }
        response.end(line({ event: "error", error }))
      },
    },
  })
  const { status, error } = await toldError(setup, { ...whole, stream: true })
  assert.deepEqual([status, error.code], [500, "KV_BYTES_DIFFER"])
  assert.match(error.message, /layer 2, block 1 differs/)
  const [receipt] = await setup.receipts()
  assert.equal((receipt!["transfer"] as { state: string }).state, "failed")
  const metrics = await (await fetch(`${setup.frontend.url}/metrics`)).text()
  assert.match(metrics, /^kvferry_frontend_integrity_verdicts_total\{verdict="different"\} 1$/m)
  assert.match(metrics, /^kvferry_frontend_transfer_bytes_total 0$/m)
  await setup.prefill.called("/kvferry/v1/release")
})

test("a slow worker meets the deadline: 504 before the text, an event within it, and the call is cut", async (t) => {
  const limits = { requestMillis: 150 }
  const stuck = await openSetup(t, { prefill: { prefill: () => {} } }, { limits })
  const { status, error } = await toldError(stuck)
  assert.deepEqual([status, error.code], [504, "KV_DEADLINE"])
  await stuck.prefill.calls[0]!.cutOff

  // Long enough that its first words come in time, also on a busy machine; all eleven of them do not.
  const slow = await openSetup(t, saying("hello world", 400), { limits: { requestMillis: 2000 } })
  const streamed = await eventsOf(slow)
  assert.deepEqual([streamed.error?.code, streamed.done], ["KV_DEADLINE", false])
  await slow.decode.calls[0]!.cutOff
})

test("a worker that keeps its stream open after the end does not keep the client", async (t) => {
  const setup = await openSetup(t, {
    decode: {
      decode: (request, response) => {
        begin(request, response, "hello")
        response.write(line(endEvent(6)))
      },
    },
  })
  const started = performance.now()
  assert.equal((await setup.post("/v1/completions", whole)).status, 200)
  assert.ok(performance.now() - started < 2000)
})

test("what a worker says is escaped and shortened before a client sees it", async (t) => {
  const what = `evil\u001b[31m\u202e\n${"x".repeat(5000)}`
  const setup = await openSetup(t, {
    prefill: { prefill: (_, response) => sendJson(response, 500, { error: { code: "KV_OS", what } }) },
  })
  const { error } = await toldError(setup)
  assert.ok(!/\p{C}/u.test(error.message))
  assert.ok(error.message.length < 1000)
})

test("connections to workers are kept and used again", async (t) => {
  const ports = new Set<number | undefined>()
  const setup = await openSetup(t, {
    prefill: {
      prefill: (request, response) => {
        ports.add(response.socket?.remotePort)
        sendJson(response, 200, prefillAnswer(request))
      },
    },
    decode: {
      decode: (request, response) => {
        ports.add(response.socket?.remotePort)
        return streamText("hello")(request, response)
      },
    },
  })
  for (let round = 0; round < 5; round++) await (await setup.post("/v1/completions", whole)).text()
  assert.equal(ports.size, 2)
})

test("a kept connection that the worker has closed is no reason to fail: a new one is opened", async (t) => {
  const seen = new Set<unknown>()
  const setup = await openSetup(t, {
    prefill: {
      prefill: (request, response) => {
        if (seen.has(response.socket)) return void response.destroy()
        seen.add(response.socket)
        sendJson(response, 200, prefillAnswer(request))
      },
    },
  })
  for (let round = 0; round < 3; round++)
    assert.equal((await setup.post("/v1/completions", whole)).status, 200)
  assert.ok(seen.size >= 2)
})
