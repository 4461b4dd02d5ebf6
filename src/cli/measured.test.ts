import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { fileURLToPath } from "node:url"
import { KvError } from "../errors/kv-error.ts"
import { receiptOf } from "../receipt/receipt.test.kit.ts"
import { readMeasured } from "./measured.ts"

const folder = mkdtempSync(join(tmpdir(), "kvferry-measured-"))
after(() => rmSync(folder, { recursive: true, force: true }))
const fileOf = (text: string): string => {
  const file = join(folder, "record.json")
  writeFileSync(file, text)
  return file
}
const bench = fileURLToPath(new URL("../../docs/benchmarks/2026-11-20-engine.json", import.meta.url))

test("a record of the bench has a table for a job, and what each of our paths took", () => {
  const { kind, job, runs } = readMeasured(bench, "kv")
  assert.deepEqual([kind, job], ["bench", { name: "kv", pieces: 6400, bytes: 65_536 }])
  assert.ok(runs.length > 4 && runs.every(({ bytes, micros }) => bytes === 419_430_400 && micros > 0))
  assert.ok(
    runs.every(({ name }) => /^(shm|cma|tcp) × /.test(name)),
    "only ours, no ceilings",
  )
})

test("a receipt is a job of its own, and so is the last one of a list", () => {
  const one = receiptOf({ pieces: 4, bytes: 4096 })
  const { kind, job, runs } = readMeasured(fileOf(JSON.stringify(one)), "kv")
  assert.deepEqual([kind, job.pieces, job.bytes], ["receipt", 4, 1024])
  assert.deepEqual([runs.length, runs[0]!.micros, runs[0]!.rails], [1, one.micros.move, one.path.rails])
  const list = [receiptOf({ pieces: 1, bytes: 1 }), one]
  assert.equal(readMeasured(fileOf(JSON.stringify(list)), "kv").job.pieces, 4)
})

test("anything else is a usage error that says what would do", () => {
  const refused = (file: string, words: RegExp): void =>
    assert.throws(
      () => readMeasured(file, "kv"),
      (error) => error instanceof KvError && error.code === "KV_USAGE" && words.test(error.message),
    )
  refused(join(folder, "absent.json"), /ENOENT/)
  for (const text of ["", "{", "[]", "null", "7", '{"lineups":7}', '{"lineups":[null,{"id":"small"}]}']) {
    refused(fileOf(text), /kvferry bench record --json/)
  }
  refused(fileOf('{"lineups":[{"id":"kv","pieces":-1,"bytes":5}]}'), /are no job/)
  refused(fileOf('{"lineups":[{"id":"kv","pieces":1e9,"bytes":1e12}]}'), /are no job/)
  assert.throws(() => readMeasured(bench, "lab"), /a table lab/)
})
