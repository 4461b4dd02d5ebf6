import assert from "node:assert/strict"
import { cpSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { fixturePath, temporaryFolder } from "../support-for-tests.ts"
import { readLlama } from "./read-llama.ts"

test("a model is named after its folder unless told otherwise, and its context can only shrink", () => {
  const folder = fixturePath("tied-fp16")
  assert.equal(readLlama(`${folder}/`).info.name, "tied-fp16")
  assert.equal(readLlama(folder, { name: "ferry" }).info.name, "ferry")
  assert.equal(readLlama(folder, { contextTokens: 50 }).info.contextTokens, 50)
  assert.equal(readLlama(folder, { contextTokens: 5_000 }).info.contextTokens, 128)
  assert.deepEqual(readLlama(folder).info.endTokens, [2, 5])
})

test("a context that is no number of tokens is refused", () => {
  for (const contextTokens of [0, -1, 1.5, Number.NaN]) {
    assert.throws(
      () => readLlama(fixturePath("tied-fp16"), { contextTokens }),
      (error) => error instanceof KvError && error.code === "KV_USAGE",
    )
  }
})

test("the fingerprint depends on configuration and weights, not on name or context", (t) => {
  const folder = copy(t, "untied-fp32")
  const { fingerprint } = readLlama(folder).info
  assert.match(fingerprint, /^[0-9a-f]{32}$/)
  assert.equal(
    readLlama(fixturePath("untied-fp32"), { name: "x", contextTokens: 9 }).info.fingerprint,
    fingerprint,
  )
  const weights = join(folder, "model.safetensors")
  const bytes = readFileSync(weights)
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(weights, bytes)
  assert.notEqual(readLlama(folder).info.fingerprint, fingerprint)
})

test("weights and configuration of different models are refused with both shapes", (t) => {
  const folder = copy(t, "untied-fp32")
  const path = join(folder, "config.json")
  const config = JSON.parse(readFileSync(path, "utf8")) as object
  const refused = [
    {
      change: { vocab_size: 65 },
      says: /model\.embed_tokens\.weight .* shape \[64, 32\].*asks for \[65, 32\]/,
    },
    { change: { num_hidden_layers: 3 }, says: /model\.layers\.2\.input_layernorm\.weight is missing/ },
    { change: { head_dim: 16 }, says: /q_proj\.weight .* asks for \[64, 32\]/ },
    { change: { attention_bias: true }, says: /q_proj\.bias is missing/ },
  ]
  for (const { change, says } of refused) {
    writeFileSync(path, JSON.stringify({ ...config, ...change }))
    refuses(() => readLlama(folder), says)
  }
})

test("weights that were cut short are refused", (t) => {
  const folder = copy(t, "untied-fp32")
  truncateSync(join(folder, "model.safetensors"), 50_000)
  refuses(() => readLlama(folder), /the file has 50000 bytes/)
})

function copy(t: { after(done: () => void): void }, name: string): string {
  const folder = temporaryFolder(t)
  cpSync(fixturePath(name), folder, { recursive: true })
  return folder
}

function refuses(act: () => unknown, says: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof KvError && error.code === "KV_MODEL_INVALID", String(error))
    assert.match(error.message, says)
    return true
  })
}
