import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import {
  endEvent,
  line,
  openSetup,
  type Setup,
  saying,
  tokenEvents,
  transferred,
} from "./scripted-worker.test.kit.ts"

const PREFILL = "/kvferry/v1/prefill"
const DECODE = "/kvferry/v1/decode"
const RELEASE = "/kvferry/v1/release"
/** An abort takes about a millisecond here; the machine may be busy. */
const SOON_MILLIS = 250

function start(setup: Setup, stream: boolean): { hangUp: () => number; answer: Promise<Response> } {
  const controller = new AbortController()
  const answer = fetch(`${setup.frontend.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-request-id": "gone" },
    body: JSON.stringify({ model: "tiny", prompt: "abc", stream }),
    signal: controller.signal,
  })
  answer.catch(() => {})
  const hangUp = () => {
    controller.abort()
    return performance.now()
  }
  return { hangUp, answer }
}

async function cancelledReceipt(setup: Setup): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < 100; tries++) {
    const [receipt] = await setup.receipts("?request=gone")
    if (receipt !== undefined) return receipt
    await sleep(10)
  }
  throw new Error("no receipt came")
}

for (const stream of [false, true]) {
  const how = stream ? "streamed" : "whole"

  test(`a client that hangs up during prefill stops it (${how})`, async (t) => {
    const setup = await openSetup(t, { prefill: { prefill: () => {} } })
    const { hangUp } = start(setup, stream)
    const call = await setup.prefill.called(PREFILL)
    const hungUpMillis = hangUp()
    const millis = (await call.cutOff) - hungUpMillis
    t.diagnostic(`prefill was cut off ${millis.toFixed(1)} ms after the client hung up`)
    assert.ok(millis < SOON_MILLIS)
    const receipt = await cancelledReceipt(setup)
    assert.equal((receipt["error"] as { code: string }).code, "KV_CANCELLED")
    assert.equal(receipt["prefill"], null)
    assert.equal(setup.decode.calls.length, 0)
    // The answer may have crossed the hang-up: then only the call's name reaches its lease.
    const release = await setup.prefill.called(RELEASE)
    assert.deepEqual(release.body, { requestId: "gone", call: (call.body as { call: string }).call })
  })

  test(`a client that hangs up before decode accepts stops it and the lease goes back (${how})`, async (t) => {
    const setup = await openSetup(t, { decode: { decode: () => {} } })
    const { hangUp } = start(setup, stream)
    const call = await setup.decode.called(DECODE)
    const hungUpMillis = hangUp()
    assert.ok((await call.cutOff) - hungUpMillis < SOON_MILLIS)
    const release = await setup.prefill.called(RELEASE)
    assert.deepEqual(release.body, { requestId: "gone", lease: "lease-1" })
    assert.equal(release.headers.authorization, setup.prefill.calls[0]!.headers.authorization)
  })

  test(`a client that hangs up between decode's first byte and the transfer gives the lease back (${how})`, async (t) => {
    const setup = await openSetup(t, { decode: { decode: (_, response) => void response.flushHeaders() } })
    const { hangUp } = start(setup, stream)
    const call = await setup.decode.called(DECODE)
    await sleep(30)
    const hungUpMillis = hangUp()
    assert.ok((await call.cutOff) - hungUpMillis < SOON_MILLIS)
    await setup.prefill.called(RELEASE)
  })

  test(`a client that hangs up while tokens flow stops the decode within milliseconds (${how})`, async (t) => {
    const setup = await openSetup(t, saying("hello hello hello hello", 25))
    const { hangUp } = start(setup, stream)
    const call = await setup.decode.called(DECODE)
    await sleep(60)
    const hungUpMillis = hangUp()
    const millis = (await call.cutOff) - hungUpMillis
    t.diagnostic(`decode was cut off ${millis.toFixed(1)} ms after the client hung up`)
    assert.ok(millis < SOON_MILLIS)
    const receipt = await cancelledReceipt(setup)
    assert.ok((receipt["completionTokens"] as number) > 0)
    assert.equal(receipt["finishReason"], null)
    // The transfer was delivered, and that ended the lease.
    assert.ok(!setup.prefill.calls.some(({ path }) => path === RELEASE))
  })
}

test("hang-ups are counted as such and leave nothing in flight", async (t) => {
  const setup = await openSetup(t, { prefill: { prefill: () => {} } })
  const { hangUp } = start(setup, false)
  await setup.prefill.called(PREFILL)
  hangUp()
  await cancelledReceipt(setup)
  const metrics = await (await fetch(`${setup.frontend.url}/metrics`)).text()
  assert.match(metrics, /^kvferry_frontend_requests_total\{endpoint="completions",status="cancelled"\} 1$/m)
  assert.match(metrics, /^kvferry_frontend_generations_in_flight 0$/m)
})

test("a stop string across token borders ends the text before it and stops the worker", async (t) => {
  const setup = await openSetup(t, saying("one. two. three. four.", 10))
  for (const stream of [false, true]) {
    const body = { model: "tiny", prompt: "abc", max_tokens: 99, stop: ["xx", " three"], stream }
    const response = await setup.post("/v1/completions", body)
    const text = await response.text()
    if (stream) {
      assert.equal([...text.matchAll(/"text":"([^"]*)"/g)].map(([, piece]) => piece).join(""), "one. two.")
      assert.match(text, /"finish_reason":"stop"/)
      assert.match(text, /data: \[DONE\]\n\n$/)
    } else {
      const answer = JSON.parse(text)
      assert.deepEqual(answer.choices[0], {
        index: 0,
        text: "one. two.",
        logprobs: null,
        finish_reason: "stop",
      })
      // Counted up to the token that completed the stop string.
      assert.equal(answer.usage.completion_tokens, "one. two. three".length)
    }
    await setup.decode.calls.at(-1)!.cutOff
    const [receipt] = await setup.receipts("?limit=1")
    assert.equal(receipt!["finishReason"], "stop")
    assert.equal(receipt!["decodePromptTokensComputed"], null)
  }
})

test("a client that reads slowly slows the worker down and loses nothing", async (t) => {
  const text = "h".repeat(400)
  const setup = await openSetup(t, {
    decode: {
      decode: (request, response) => {
        response.writeHead(200)
        response.write(line(transferred(request)) + tokenEvents(text).map(line).join(""))
        response.end(line(endEvent(400, "length")))
      },
    },
  })
  const response = await setup.post("/v1/completions", {
    model: "tiny",
    prompt: "a",
    max_tokens: 400,
    stream: true,
  })
  await sleep(50)
  const body = await response.text()
  assert.equal([...body.matchAll(/"text":"h"/g)].length, 400)
})

test("close() ends what runs, tells the client, and is done", async (t) => {
  const setup = await openSetup(t, saying("hello hello hello", 50))
  const response = await setup.post("/v1/completions", { model: "tiny", prompt: "abc", stream: true })
  await setup.decode.called(DECODE)
  const [body] = await Promise.all([response.text(), setup.frontend.close()])
  assert.match(body, /"code":"KV_CANCELLED"/)
  assert.ok(!body.includes("[DONE]"))
  await setup.decode.calls[0]!.cutOff
  await assert.rejects(fetch(`${setup.frontend.url}/health`))
})
