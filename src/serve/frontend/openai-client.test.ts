import assert from "node:assert/strict"
import { test } from "node:test"
import OpenAI from "openai"
import { CONTEXT_TOKENS, collect, openSetup, type Setup, saying } from "./scripted-worker.test.kit.ts"

function clientOf({ frontend }: Setup): OpenAI {
  return new OpenAI({ baseURL: `${frontend.url}/v1`, apiKey: "unused", maxRetries: 0 })
}

test("a whole chat completion reads as the official client expects", async (t) => {
  const setup = await openSetup(t)
  const answer = await clientOf(setup).chat.completions.create({
    model: "tiny",
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "Hi" }] },
    ],
  })
  assert.match(answer.id, /^chatcmpl-req-[0-9a-f]{24}$/)
  assert.equal(answer.object, "chat.completion")
  assert.equal(answer.model, "tiny")
  assert.ok(Math.abs(answer.created - Date.now() / 1000) < 60)
  assert.deepEqual(answer.choices, [
    {
      index: 0,
      message: { role: "assistant", content: "hello", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    },
  ])
  const prompt = "<system>Be brief.<user>Hi<assistant>"
  // Five tokens of text and the end-of-text token.
  assert.deepEqual(answer.usage, {
    prompt_tokens: prompt.length,
    completion_tokens: 6,
    total_tokens: prompt.length + 6,
  })
  assert.deepEqual((setup.prefill.calls[0]!.body as { tokens: number[] }).tokens, [...Buffer.from(prompt)])
})

test("a streamed chat completion reads as the official client expects", async (t) => {
  const setup = await openSetup(t, saying("grüße 👋"))
  const stream = await clientOf(setup).chat.completions.create({
    model: "tiny",
    messages: [{ role: "user", content: "Hi" }],
    max_completion_tokens: 100,
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks = await collect(stream)
  assert.deepEqual(chunks[0]!.choices[0]!.delta, { role: "assistant", content: "" })
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "grüße 👋")
  assert.ok(chunks.every((chunk) => chunk.object === "chat.completion.chunk" && chunk.id === chunks[0]!.id))
  assert.deepEqual(
    chunks.map((chunk) => chunk.choices[0]?.finish_reason ?? null),
    [...chunks.slice(2).map(() => null), "stop", null],
  )
  const usage = chunks.at(-1)!
  assert.deepEqual(usage.choices, [])
  assert.deepEqual(usage.usage, { prompt_tokens: 19, completion_tokens: 13, total_tokens: 32 })
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null))
})

test("completions take text or token ids, whole or streamed", async (t) => {
  const setup = await openSetup(t)
  const client = clientOf(setup)
  const whole = await client.completions.create({ model: "tiny", prompt: "abc", max_tokens: 3 })
  assert.equal(whole.object, "text_completion")
  assert.match(whole.id, /^cmpl-/)
  assert.deepEqual(whole.choices, [{ index: 0, text: "hel", logprobs: null, finish_reason: "length" }])
  assert.deepEqual(whole.usage, { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 })

  for (const prompt of [["abc"], [97, 98, 99], [[97, 98, 99]]] as (string[] | number[] | number[][])[]) {
    const stream = await client.completions.create({ model: "tiny", prompt, stream: true })
    const chunks = await collect(stream)
    assert.equal(chunks.map((chunk) => chunk.choices[0]!.text).join(""), "hello")
    assert.equal(chunks.at(-1)!.choices[0]!.finish_reason, "stop")
    assert.ok(chunks.every((chunk) => !("usage" in chunk)))
    assert.deepEqual((setup.prefill.calls.at(-1)!.body as { tokens: number[] }).tokens, [97, 98, 99])
  }
})

test("tokens after the first come through as soon as the worker sends them", async (t) => {
  const setup = await openSetup(t, saying("abcd", 40))
  const stream = await clientOf(setup).completions.create({ model: "tiny", prompt: "x", stream: true })
  const arrivals: number[] = []
  for await (const chunk of stream) if (chunk.choices[0]!.text !== "") arrivals.push(performance.now())
  assert.equal(arrivals.length, 4)
  assert.ok(
    arrivals.every((at, index) => index === 0 || at - arrivals[index - 1]! > 15),
    arrivals.join(" "),
  )
})

test("models are listed and found by name", async (t) => {
  const client = clientOf(await openSetup(t))
  const list = await collect(client.models.list())
  assert.deepEqual(
    list.map(({ id, object, owned_by }) => [id, object, owned_by]),
    [["tiny", "model", "kvferry"]],
  )
  const model = await client.models.retrieve("tiny")
  assert.equal((model as { max_model_len?: number }).max_model_len, CONTEXT_TOKENS)
  await assert.rejects(client.models.retrieve("other/model"), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError)
    assert.equal(error.code, "model_not_found")
    return true
  })
})

test("the official client sees our errors as its own classes, with code, param and request id", async (t) => {
  const client = clientOf(await openSetup(t))
  const request = client.completions.create(
    { model: "tiny", prompt: "x", temperature: 9 },
    { headers: { "x-request-id": "my-id.1" } },
  )
  await assert.rejects(request, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError)
    assert.equal(error.param, "temperature")
    assert.equal(error.code, "KV_REQUEST_INVALID")
    assert.equal(error.type, "invalid_request_error")
    assert.equal(error.requestID, "my-id.1")
    assert.match(error.message, /temperature is 9; it must be a number from 0 to 2/)
    return true
  })
})
