import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { openFrontend } from "./frontend.ts"
import { silentLog } from "./log.ts"
import { byteCodec, openSetup, plainTemplate, SECRET, saying } from "./scripted-worker.test.kit.ts"

const options = {
  prefill: ["http://127.0.0.1:1"],
  decode: ["http://127.0.0.1:1"],
  secret: SECRET,
  tokenizer: byteCodec,
  chatTemplate: plainTemplate,
  modelName: "tiny",
  contextTokens: 512,
  endTokens: [256],
  vocabSize: 257,
  log: silentLog,
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof KvError && error.code === code
}

test("a port that is taken, no workers and an empty secret are refused with their codes", async (t) => {
  const { frontend } = await openSetup(t)
  await assert.rejects(openFrontend({ ...options, port: frontend.port }), hasCode("KV_PORT_IN_USE"))
  await assert.rejects(openFrontend({ ...options, decode: [] }), hasCode("KV_USAGE"))
  await assert.rejects(openFrontend({ ...options, secret: "" }), hasCode("KV_USAGE"))
  await assert.rejects(openFrontend({ ...options, host: "192.0.2.1" }), hasCode("KV_OS"))
})

test("a frontend can be closed twice, at once, with idle clients connected", async () => {
  const frontend = await openFrontend(options)
  assert.equal((await fetch(`${frontend.url}/v1/models`)).status, 200)
  const started = performance.now()
  await Promise.all([frontend.close(), frontend.close()])
  assert.ok(performance.now() - started < 500)
})

test("bound to every address it answers under any host name", async () => {
  const frontend = await openFrontend({ ...options, host: "0.0.0.0" })
  const response = await fetch(`http://127.0.0.1:${frontend.port}/v1/models`, {
    headers: { host: "kv.example" },
  })
  assert.equal(response.status, 200)
  await frontend.close()
})

test("many generations at one time make Node complain about nothing", async (t) => {
  const warnings: Error[] = []
  const note = (warning: Error) => void warnings.push(warning)
  process.on("warning", note)
  t.after(async () => void process.off("warning", note))
  const { post } = await openSetup(t, saying("hello", 5))
  const answers = Array.from({ length: 40 }, () => post("/v1/completions", { model: "tiny", prompt: "abc" }))
  for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
  assert.deepEqual(warnings, [])
})

test("neither prompts nor secrets are logged, whatever happens", async (t) => {
  const lines: string[] = []
  const note = (event: string, fields?: object) => void lines.push(JSON.stringify([event, fields]))
  const setup = await openSetup(t, {}, { log: { info: note, warn: note, error: note } })
  const prompt = "the quick brown fox"
  await setup.post("/v1/completions", { model: "tiny", prompt })
  await setup.post("/v1/completions", { model: "tiny", prompt, max_tokens: 0 })
  await setup.post("/v1/chat/completions", { model: "tiny", messages: [{ role: prompt }] })
  await setup.decode.die()
  await setup.post("/v1/completions", { model: "tiny", prompt })
  assert.ok(lines.some((text) => text.includes("request answered")))
  assert.ok(lines.some((text) => text.includes("request failed")))
  for (const text of lines)
    assert.ok(!text.includes("quick") && !text.includes(SECRET) && !text.includes("hello"))
})
