import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { openSafetensors } from "../safetensors.ts"
import { fixturePath, repositoryPath, testCache, testSequence } from "../support-for-tests.ts"
import { openLlama } from "./open-llama.ts"
import { readLlama } from "./read-llama.ts"

const folder = repositoryPath("models", "ferry-tiny")
const recorded = fixturePath("ferry-tiny")
const isRecorded = existsSync(join(recorded, "logits.json"))

test("ferry-tiny computes the logits that transformers computes", {
  skip: !isRecorded && "nothing is recorded",
}, (t) => {
  const expected = JSON.parse(readFileSync(join(recorded, "logits.json"), "utf8")) as {
    tokens: number[]
    weights_sha256: string
  }
  const weights = createHash("sha256")
    .update(readFileSync(join(folder, "model.safetensors")))
    .digest("hex")
  assert.equal(
    weights,
    expected.weights_sha256,
    "the weights changed: run tools/fixtures/make-ferry-fixture.py",
  )

  const model = readLlama(folder)
  const cache = testCache(model.info)
  const logits = openLlama(model, cache).prefill(
    Uint32Array.from(expected.tokens),
    testSequence(cache, true),
  )!
  const file = openSafetensors(join(recorded, "logits.safetensors"))
  const theirs = file.read("logits", [model.config.vocabSize])
  file.close()
  const scale = theirs.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  const worst = logits.reduce(
    (largest, value, index) => Math.max(largest, Math.abs(value - theirs[index]!) / scale),
    0,
  )
  t.diagnostic(`largest difference relative to scale ${worst.toExponential(2)}`)
  assert.ok(worst <= 1e-5, `${worst}`)
})
