import assert from "node:assert/strict"
import { once } from "node:events"
import { request as httpRequest, type IncomingMessage } from "node:http"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { CONTEXT_TOKENS, openSetup, saying, streamText, told } from "./scripted-worker.test.kit.ts"

const completion = { model: "tiny", prompt: "abc" }
const chat = { model: "tiny", messages: [{ role: "user", content: "Hi" }] }
const COMPLETIONS = "/v1/completions"
const CHAT = "/v1/chat/completions"

test("every parameter out of its range is a 400 that names it and says what is allowed", async (t) => {
  const setup = await openSetup(t)
  const wrongs: [string, string, unknown, RegExp?][] = [
    ...[0, -1, 1.5, "5", 1e9, true, [], {}].map((value): [string, string, unknown, RegExp] => [
      COMPLETIONS,
      "max_tokens",
      value,
      /a whole number from 1 to 512/,
    ]),
    [CHAT, "max_completion_tokens", 0, /a whole number from 1 to 512/],
    [CHAT, "temperature", 2.1, /from 0 to 2/],
    [CHAT, "temperature", -0.1],
    [CHAT, "temperature", "hot", /"hot"/],
    [CHAT, "top_p", 0, /above 0 and up to 1/],
    [CHAT, "top_p", 1.01],
    [CHAT, "seed", -1, /from 0 to 4294967295/],
    [CHAT, "seed", 4294967296],
    [CHAT, "seed", 0.5],
    [CHAT, "stream", "yes", /true or false/],
    [CHAT, "ignore_eos", 1, /true or false/],
    [CHAT, "stop", 5, /up to 4 strings/],
    [CHAT, "stop", ["a", "b", "c", "d", "e"], /5 strings/],
    [CHAT, "stop", [""], /1 to 1024 characters/],
    [CHAT, "stop", ["ok", 7]],
    [CHAT, "stop", "x".repeat(1025)],
    [CHAT, "stream_options", { include_usage: true }, /set stream to true/],
    [CHAT, "messages", []],
    [CHAT, "messages", "Hi"],
    [COMPLETIONS, "prompt", undefined, /undefined/],
    [COMPLETIONS, "prompt", "", /empty/],
    [COMPLETIONS, "prompt", []],
    [COMPLETIONS, "prompt", {}],
    [COMPLETIONS, "prompt", 5],
    [COMPLETIONS, "prompt", ["a", "b"], /2 prompts; send one request for each/],
    [COMPLETIONS, "prompt", [[1], [2]], /2 prompts/],
    [COMPLETIONS, "prompt", [[]], /empty/],
    [COMPLETIONS, "prompt", [1, -1], /prompt\[1\] is -1; a token id is a whole number from 0 to 256/],
    [COMPLETIONS, "prompt", [1, 257]],
    [COMPLETIONS, "prompt", [1.5]],
    [COMPLETIONS, "prompt", [1, "a"]],
    [COMPLETIONS, "prompt", [[1, null]]],
  ]
  for (const [path, param, value, message] of wrongs) {
    const good = path === CHAT ? chat : completion
    const { status, error } = await told(setup, path, { ...good, [param]: value })
    const what = `${param} = ${JSON.stringify(value)}: ${error.message}`
    assert.deepEqual(
      [status, error.param, error.code, error.type],
      [400, param, "KV_REQUEST_INVALID", "invalid_request_error"],
      what,
    )
    if (message !== undefined) assert.match(error.message, message)
  }
  assert.equal(setup.prefill.calls.length, 0, "nothing of this reached a worker")
})

test("messages at fault are named by their index", async (t) => {
  const setup = await openSetup(t)
  const user = { role: "user", content: "Hi" }
  const wrongs: [unknown[], string, RegExp][] = [
    [[user, "Hi"], "messages[1]", /role and content/],
    [[null], "messages[0]", /null/],
    [[{ content: "Hi" }], "messages[0].role", /undefined/],
    [[{ role: "tool", content: "Hi" }], "messages[0].role", /one of system, user, assistant, developer/],
    [[{ role: "__proto__", content: "Hi" }], "messages[0].role", /one of/],
    [[{ role: "user" }], "messages[0].content", /a string or an array/],
    [[{ role: "assistant", content: null }], "messages[0].content", /null/],
    [[{ role: "user", content: [] }], "messages[0].content", /array of text parts/],
    [
      [{ role: "user", content: [{ type: "image_url", image_url: {} }] }],
      "messages[0].content[0]",
      /"image_url"/,
    ],
    [[{ role: "user", content: ["Hi"] }], "messages[0].content[0]", /"Hi"/],
    [[user, user], "messages", /chat template refused these messages: "roles must alternate"/],
  ]
  for (const [messages, param, message] of wrongs) {
    const { status, error } = await told(setup, CHAT, { ...chat, messages })
    assert.deepEqual([status, error.param], [400, param])
    assert.match(error.message, message)
  }
})

test("parameters that we do not have are refused by name when they would change the answer", async (t) => {
  const setup = await openSetup(t)
  const wanted: Record<string, unknown> = {
    n: 2,
    best_of: 3,
    echo: true,
    suffix: "x",
    logprobs: 0,
    top_logprobs: 2,
    logit_bias: { "5": -100 },
    presence_penalty: 0.1,
    frequency_penalty: -1,
    repetition_penalty: 1.1,
    top_k: 40,
    min_p: 0.1,
    min_tokens: 5,
    tools: [{}],
    tool_choice: "required",
    functions: [{}],
    function_call: { name: "x" },
    response_format: { type: "json_object" },
    modalities: ["text", "audio"],
    audio: {},
    prediction: {},
    reasoning_effort: "high",
    web_search_options: {},
    prompt_embeds: "x",
    structured_outputs: { json: {} },
  }
  for (const [param, value] of Object.entries(wanted)) {
    const { status, error } = await told(setup, CHAT, { ...chat, [param]: value })
    assert.deepEqual([status, error.param], [400, param], error.message)
    assert.match(error.message, /not supported|only together/)
  }
})

test("the same parameters at their defaults, and fields nobody knows, are taken", async (t) => {
  const setup = await openSetup(t)
  const defaults = {
    ...{ n: 1, echo: false, best_of: 1, logprobs: null, top_logprobs: null, logit_bias: {}, suffix: null },
    ...{
      presence_penalty: 0,
      frequency_penalty: 0,
      repetition_penalty: 1,
      top_k: -1,
      min_p: 0,
      min_tokens: 0,
    },
    ...{ tools: [], tool_choice: "auto", response_format: { type: "text" }, modalities: ["text"] },
    ...{
      user: "somebody",
      metadata: { a: 1 },
      store: false,
      service_tier: "auto",
      parallel_tool_calls: true,
    },
    ...{ stop: null, seed: null, max_tokens: null, temperature: null, stream: null, stream_options: null },
    // What a prefill/decode router of another kind would obey; it must not reach a worker.
    kv_transfer_params: { do_remote_prefill: true, remote_host: "evil" },
    "a field of tomorrow": 1,
  }
  for (const [path, good] of [
    [CHAT, chat],
    [COMPLETIONS, completion],
  ] as const) {
    assert.equal((await setup.post(path, { ...defaults, ...good })).status, 200)
  }
  assert.ok(!JSON.stringify(setup.prefill.calls.map(({ body }) => body)).includes("evil"))
  const minTokens = await setup.post(COMPLETIONS, {
    ...completion,
    ignore_eos: true,
    min_tokens: 5,
    max_tokens: 5,
  })
  assert.equal(minTokens.status, 200)
})

test("what does not fit the context is refused with the numbers", async (t) => {
  const setup = await openSetup(t)
  const long = "x".repeat(CONTEXT_TOKENS)
  for (const [body, message] of [
    [{ ...completion, prompt: long }, /holds 512 tokens; the prompt has 512\./],
    [{ ...completion, max_tokens: 510 }, /holds 512 tokens; the prompt has 3 and 510 were asked for/],
    [
      { ...completion, prompt: "x".repeat(CONTEXT_TOKENS * 128 + 1) },
      /65537 characters; more than 65536 cannot fit/,
    ],
  ] as const) {
    const { status, error } = await told(setup, COMPLETIONS, body)
    assert.deepEqual([status, error.code, error.param], [400, "context_length_exceeded", "prompt"])
    assert.match(error.message, message)
  }
  assert.equal((await setup.post(COMPLETIONS, { ...completion, max_tokens: 509 })).status, 200)
})

test("max_tokens defaults to 16 for completions, 256 for chats, and what is left of the context", async (t) => {
  const setup = await openSetup(t)
  const asked = async (path: string, body: object) => {
    await (await setup.post(path, body)).text()
    return (setup.decode.calls.at(-1)!.body as { maxTokens: number }).maxTokens
  }
  assert.equal(await asked(COMPLETIONS, completion), 16)
  assert.equal(await asked(CHAT, chat), 256)
  assert.equal(await asked(COMPLETIONS, { ...completion, prompt: "x".repeat(CONTEXT_TOKENS - 5) }), 5)
  assert.equal(await asked(CHAT, { ...chat, max_tokens: 7, max_completion_tokens: 9 }), 9)
})

test("bodies that are not JSON, not objects, or not UTF-8 are a 400", async (t) => {
  const setup = await openSetup(t)
  for (const body of [
    "",
    "{",
    "NaN",
    '{"model":"tiny","prompt":"a","temperature":NaN}',
    "null",
    "[]",
    '"text"',
    "7",
  ]) {
    const { status, error } = await told(setup, COMPLETIONS, body)
    assert.deepEqual([status, error.code], [400, "KV_REQUEST_INVALID"], body)
  }
  const raw = await fetch(setup.frontend.url + COMPLETIONS, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: Buffer.concat([Buffer.from('{"model":"tiny","prompt":"'), Buffer.of(0xff), Buffer.from('"}')]),
  })
  assert.equal(raw.status, 400)
  assert.match(await raw.text(), /not valid UTF-8/)
  const deep = await setup.post(COMPLETIONS, `{"model":"tiny","prompt":${"[".repeat(5e4)}${"]".repeat(5e4)}}`)
  assert.equal(deep.status, 400)
})

test("other content types are a 415, so that a foreign page cannot post without asking", async (t) => {
  const setup = await openSetup(t)
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
  ]) {
    assert.equal((await told(setup, CHAT, chat, { "content-type": type })).status, 415)
  }
  assert.equal((await told(setup, CHAT, chat, { "content-encoding": "gzip" })).status, 415)
  assert.equal(
    (await setup.post(CHAT, chat, { "content-type": "Application/JSON; charset=utf-8" })).status,
    200,
  )
  const preflight = await fetch(setup.frontend.url + CHAT, {
    method: "OPTIONS",
    headers: { origin: "http://evil.example" },
  })
  assert.equal(preflight.status, 405)
  assert.ok(![...preflight.headers.keys()].some((name) => name.startsWith("access-control")))
})

test("a body over the limit is a 413, announced or chunked, and the answer arrives", async (t) => {
  const setup = await openSetup(t, {}, { limits: { bodyBytes: 1000 } })
  const body = JSON.stringify({ ...completion, prompt: "x".repeat(200_000) })
  const announced = await told(setup, COMPLETIONS, body)
  assert.deepEqual([announced.status, announced.error.code], [413, "KV_REQUEST_TOO_LARGE"])
  assert.match(announced.error.message, /at most 1000 bytes/)

  const chunked = httpRequest(setup.frontend.url + COMPLETIONS, {
    method: "POST",
    headers: { "content-type": "application/json", "transfer-encoding": "chunked" },
  })
  chunked.on("error", () => {})
  for (let at = 0; at < body.length; at += 10_000) chunked.write(body.slice(at, at + 10_000))
  chunked.end()
  const [response] = (await once(chunked, "response")) as [IncomingMessage]
  assert.equal(response.statusCode, 413)
  response.resume()
  assert.equal((await setup.post(COMPLETIONS, completion)).status, 200)
})

test("an unknown model is a 404 with OpenAI's code, and hostile names are made harmless", async (t) => {
  const setup = await openSetup(t)
  const { status, error } = await told(setup, CHAT, {
    ...chat,
    model: `gpt"\u001b[2J\u202e\n${"x".repeat(9999)}`,
  })
  assert.deepEqual([status, error.code, error.param], [404, "model_not_found", "model"])
  assert.ok(error.message.length < 300)
  assert.ok(!/\p{C}/u.test(error.message), error.message)
  assert.equal((await told(setup, CHAT, { messages: chat.messages, model: 7 })).status, 400)
})

test("a stray failure of the tokenizer is a 500 without its text", async (t) => {
  const tokenizer = {
    encode(): Uint32Array {
      throw new Error("secret of the inside")
    },
    openDecoder: () => ({ push: () => "", end: () => "" }),
  }
  const setup = await openSetup(t, { decode: { decode: streamText("x") } }, { tokenizer })
  const { status, error } = await told(setup, COMPLETIONS, completion)
  assert.equal(status, 500)
  assert.ok(!error.message.includes("inside"))
})

test("what a template says of messages is told, where the model's files are is not", async (t) => {
  const render = (): string => {
    const next = "change the messages; /srv/models/tiny shows which"
    throw new KvError("KV_REQUEST_INVALID", { what: "not accepted", why: "roles must alternate", next })
  }
  const strict = await openSetup(t, {}, { chatTemplate: { render } })
  const refused = await told(strict, CHAT, chat)
  assert.deepEqual([refused.status, refused.error.param], [400, "messages"])
  assert.match(refused.error.message, /roles must alternate/)
  assert.ok(!refused.error.message.includes("/srv"))

  const bare = await openSetup(t, {}, { chatTemplate: { exists: false, render } })
  assert.match(
    (await told(bare, CHAT, chat)).error.message,
    /no chat template; send a plain prompt to \/v1\/completions/,
  )
})

test("a request that names no model means the one that is served", async (t) => {
  const setup = await openSetup(t, saying("ok"))
  assert.equal((await setup.post(COMPLETIONS, { prompt: "abc" })).status, 200)
})
