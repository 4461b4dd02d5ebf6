import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import {
  healthOf,
  line,
  openSetup,
  prefillAnswer,
  SECRET,
  sendJson,
  tokenEvents,
  transferred,
} from "./scripted-worker.test.kit.ts"

const completion = { model: "tiny", prompt: "abc" }
const evidence = { tokens: [104], logits: ["00"], blocks: [["11"]], heads: [[["22", "33"]]] }

test("a receipt tells what happened, who did it, and how long it took", async (t) => {
  const setup = await openSetup(t)
  await setup.post("/v1/completions", { ...completion, temperature: 0, seed: 7 }, { "x-request-id": "r1" })
  const [receipt, ...others] = await setup.receipts("?request=r1")
  assert.equal(others.length, 0)
  const { ttftMicros, perTokenMicros, totalMicros, startedAt, trace, transfer, ...rest } = receipt!
  assert.deepEqual(rest, {
    requestId: "r1",
    model: "tiny",
    endpoint: "completions",
    stream: false,
    promptTokens: 3,
    maxTokens: 16,
    completionTokens: 6,
    sampling: { temperature: 0, topP: 1, seed: 7 },
    finishReason: "stop",
    prefill: {
      worker: setup.prefill.url,
      agent: "127.0.0.1:7001",
      agentId: "prefill-0",
      bootId: "boot-p",
      pid: 4101,
      prefillMicros: 1234,
    },
    decode: {
      worker: setup.decode.url,
      agentId: "decode-0",
      bootId: "boot-d",
      pid: 4102,
      decodeMicros: 5678,
    },
    decodePromptTokensComputed: 0,
  })
  assert.equal((transfer as { ticket: string }).ticket, "ticket-1")
  assert.match(trace as string, /^00-/)
  assert.ok(Math.abs(Date.parse(startedAt as string) - Date.now()) < 5000)
  assert.ok(0 < (ttftMicros as number) && (ttftMicros as number) <= (totalMicros as number))
  assert.ok((perTokenMicros as number) >= 0)
})

test("a request without a seed gets a random one, and its receipt says which", async (t) => {
  const setup = await openSetup(t)
  for (let round = 0; round < 2; round++) await (await setup.post("/v1/completions", completion)).text()
  const seeds = (await setup.receipts()).map(({ sampling }) => (sampling as { seed: number }).seed)
  assert.equal(seeds.length, 2)
  assert.notEqual(seeds[0], seeds[1])
  const sent = setup.prefill.calls.map(({ body }) => (body as { sampling: { seed: number } }).sampling.seed)
  assert.deepEqual(sent.toReversed(), seeds)
  assert.deepEqual(
    setup.decode.calls.map(({ body }) => (body as { sampling: { seed: number } }).sampling.seed),
    sent,
  )
})

test("receipts are newest first, bounded, and their query is checked", async (t) => {
  const setup = await openSetup(t, {}, { limits: { receipts: 3 } })
  for (const id of ["a", "b", "c", "d"]) {
    await (await setup.post("/v1/completions", completion, { "x-request-id": id })).text()
  }
  const ids = async (query: string) => (await setup.receipts(query)).map(({ requestId }) => requestId)
  assert.deepEqual(await ids(""), ["d", "c", "b"])
  assert.deepEqual(await ids("?limit=1"), ["d"])
  assert.deepEqual(await ids("?request=a"), [])
  for (const limit of ["0", "-1", "4", "1.5", "x", "1e9", ""]) {
    const response = await fetch(`${setup.frontend.url}/kvferry/v1/receipts?limit=${limit}`)
    assert.equal(response.status, 400, limit)
  }
})

test("evidence is asked for and shown only with the header and the secret", async (t) => {
  const setup = await openSetup(t, {
    prefill: {
      prefill: (request, response) =>
        sendJson(response, 200, { ...prefillAnswer(request), ...(request.evidence ? { evidence } : {}) }),
    },
    decode: {
      decode: (request, response) => {
        response.write(line(transferred(request)) + tokenEvents("hello").map(line).join(""))
        const end = {
          event: "end",
          reason: "stop",
          tokens: 6,
          decodeMicros: 1,
          promptTokensComputed: 0,
        } as const
        response.end(line(request.evidence ? { ...end, evidence } : end))
      },
    },
  })
  const bearer = { authorization: `Bearer ${SECRET}` }
  const header = { "x-kvferry-evidence": "1" }
  for (const [id, headers, given] of [
    ["none", {}, false],
    ["header", header, false],
    ["secret", bearer, false],
    ["wrong", { ...header, authorization: "Bearer guess" }, false],
    ["both", { ...header, ...bearer }, true],
  ] as const) {
    const response = await setup.post("/v1/completions", completion, { "x-request-id": id, ...headers })
    assert.equal(response.status, 200)
    await response.text()
    assert.equal("evidence" in (setup.prefill.calls.at(-1)!.body as object), given, id)
    assert.equal("evidence" in (setup.decode.calls.at(-1)!.body as object), given, id)
    const [open] = await setup.receipts(`?request=${id}`)
    assert.ok(!("evidence" in open!), "nobody without the secret sees it")
    const [trusted] = await setup.receipts(`?request=${id}`, bearer)
    assert.deepEqual(trusted!["evidence"], given ? { prefill: evidence, decode: evidence } : undefined)
  }
})

test("health tells of every worker, and is 503 when one half is missing", async (t) => {
  const setup = await openSetup(t)
  const health = async () => {
    const response = await fetch(`${setup.frontend.url}/health`)
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const well = await health()
  assert.equal(well.status, 200)
  assert.equal(well.body["status"], "ok")
  assert.deepEqual(
    (well.body["workers"] as Record<string, unknown>[]).map(({ role, status, pid }) => [role, status, pid]),
    [
      ["prefill", "ok", 4101],
      ["decode", "ok", 4102],
    ],
  )
  await setup.decode.die()
  await new Promise((resolve) => setTimeout(resolve, 300))
  const ill = await health()
  assert.equal(ill.status, 503)
  assert.equal(ill.body["status"], "unavailable")
  const [prefill, decode] = ill.body["workers"] as Record<string, unknown>[]
  assert.equal(prefill!["status"], "ok")
  assert.match(decode!["why"] as string, /cannot be reached.*ECONNREFUSED/)
})

test("a worker in the wrong role is down, and says what it is", async (t) => {
  const setup = await openSetup(t, {
    decode: { health: (_, response) => sendJson(response, 200, healthOf("prefill")) },
  })
  const response = await fetch(`${setup.frontend.url}/health`)
  assert.equal(response.status, 503)
  assert.match(await response.text(), /"why":"it is a prefill worker"/)
})

test("metrics count what happened and promtool finds nothing wrong with them", async (t) => {
  const setup = await openSetup(t)
  const read = async () => {
    const response = await fetch(`${setup.frontend.url}/metrics`)
    assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
    return response.text()
  }
  const fresh = await read()
  assert.match(fresh, /^kvferry_frontend_requests_total\{endpoint="chat_completions",status="2xx"\} 0$/m)
  assert.match(fresh, /^kvferry_frontend_errors_total\{code="KV_BYTES_DIFFER"\} 0$/m)
  await (await setup.post("/v1/completions", completion)).text()
  await (await setup.post("/v1/completions", "{")).text()
  const text = await read()
  for (const sample of [
    'kvferry_frontend_requests_total{endpoint="completions",status="2xx"} 1',
    'kvferry_frontend_requests_total{endpoint="completions",status="4xx"} 1',
    'kvferry_frontend_errors_total{code="KV_REQUEST_INVALID"} 1',
    "kvferry_frontend_prompt_tokens_total 3",
    "kvferry_frontend_completion_tokens_total 5",
    "kvferry_frontend_transfer_bytes_total 65536",
    "kvferry_frontend_time_to_first_token_seconds_count 1",
    "kvferry_frontend_inter_token_seconds_count 4",
    "kvferry_frontend_transfer_seconds_sum 0.00032",
    'kvferry_frontend_integrity_verdicts_total{verdict="identical"} 1',
    "kvferry_frontend_generations_in_flight 0",
  ]) {
    assert.ok(text.includes(`\n${sample}\n`), sample)
  }
  const promtool = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" })
  if (promtool.error) return t.diagnostic("promtool is not installed: the format was not checked by it")
  assert.equal(promtool.stdout + promtool.stderr, "")
})
