import assert from "node:assert/strict"
import { cpSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { openCheckpoint } from "./checkpoint.ts"
import { fixturePath, temporaryFolder } from "./support-for-tests.ts"

test("a sharded checkpoint reads each tensor from its own file", () => {
  const checkpoint = openCheckpoint(fixturePath("sharded"))
  assert.equal(checkpoint.read("model.norm.weight", [32]).length, 32)
  assert.equal(checkpoint.read("model.embed_tokens.weight", [64, 32]).length, 2048)
  refuses(() => checkpoint.read("model.nothing", [1]), /model\.nothing is missing in .*index\.json/)
  checkpoint.close()
})

test("a folder without weights is refused", (t) => {
  const folder = temporaryFolder(t)
  refuses(() => openCheckpoint(folder), /holds no weights.*model\.safetensors/)
  refuses(() => openCheckpoint(join(folder, "gone")), /holds no weights/)
})

test("a missing shard is refused by name", (t) => {
  const folder = temporaryFolder(t)
  cpSync(fixturePath("sharded"), folder, { recursive: true })
  rmSync(join(folder, "model-00002-of-00004.safetensors"))
  refuses(() => openCheckpoint(folder), /model-00002-of-00004\.safetensors cannot be opened/)
})

test("an index that is broken, or points out of its folder, is refused", (t) => {
  const folder = temporaryFolder(t)
  const path = join(folder, "model.safetensors.index.json")
  for (const [text, says] of [
    ["{", /is not JSON/],
    ["{}", /nothing as weight_map/],
    ['{"weight_map":{"a":7}}', /places tensor a in 7/],
    ['{"weight_map":{"a":"../secret.safetensors"}}', /no safetensors file name/],
    ['{"weight_map":{"a":"/etc/passwd"}}', /no safetensors file name/],
  ] as const) {
    writeFileSync(path, text)
    refuses(() => openCheckpoint(folder), says)
  }
})

function refuses(act: () => unknown, says: RegExp): void {
  assert.throws(
    act,
    (error) => error instanceof KvError && error.code === "KV_MODEL_INVALID" && says.test(error.message),
  )
}
