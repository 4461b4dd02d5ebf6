import assert from "node:assert/strict"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { toJSONSchema } from "zod"
import { withoutUnproven } from "../report/proven.ts"
import { sampleLoad } from "../report/samples.test.kit.ts"
import { loadForm } from "./load-form.ts"
import { againstLoadSchema, loadSchemaFile, printedLoad } from "./load-schema.test.kit.ts"

const records = fileURLToPath(new URL("../../../docs/benchmarks/", import.meta.url))
const optional =
  /\/(model|receipt\/integrity|receipt|micros|residentBytes|hash|latency|bytesPerSecond|ratio|cpuSecondsPerGb|matrix|comparison)$/

type Tree = Record<string, unknown>

/** A document with everything that one may have in it. */
function fullDocument(): Tree {
  const document = withoutUnproven(sampleLoad())
  return JSON.parse(JSON.stringify({ ...document, shape: { ...document.shape, model: "qwen3-8b" } })) as Tree
}

/** Every object of a document, with its place. */
function objectsIn(value: unknown, place: string): { readonly place: string; readonly object: Tree }[] {
  if (typeof value !== "object" || value === null) return []
  const inside = Object.entries(value).flatMap(([key, one]) => objectsIn(one, `${place}/${key}`))
  return Array.isArray(value) ? inside : [{ place, object: value as Tree }, ...inside]
}

const refused = (value: unknown): boolean => {
  const byForm = !loadForm.safeParse(value).success
  assert.equal(againstLoadSchema(value) !== undefined, byForm, "the schema and the form say the same")
  return byForm
}

test("docs/schemas/load-1.json is the form of the code (KVFERRY_WRITE_DOCS=1 writes it)", () => {
  const made = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: "kvferry/load/1",
    title: "The record of one kvferry bench",
    ...toJSONSchema(loadForm),
  }
  if (process.env["KVFERRY_WRITE_DOCS"] === "1")
    writeFileSync(loadSchemaFile, `${JSON.stringify(made, undefined, 2)}\n`)
  assert.deepEqual(JSON.parse(readFileSync(loadSchemaFile, "utf8")), JSON.parse(JSON.stringify(made)))
})

test("the records of the repository are such documents", () => {
  const files = readdirSync(records).filter((file) => file.endsWith("-load.json"))
  assert.notEqual(files.length, 0)
  for (const file of files) printedLoad(readFileSync(`${records}${file}`, "utf8"))
})

test("a field that is missing or unknown is refused, wherever it is", () => {
  const document = fullDocument()
  assert.equal(refused(document), false, againstLoadSchema(document))
  const objects = objectsIn(document, "")
  assert.ok(objects.length > 40)
  for (const { place, object } of objects) {
    object["more"] = 1
    assert.ok(refused(document), `${place} has a field that nobody knows`)
    delete object["more"]
    for (const [key, value] of Object.entries(object)) {
      delete object[key]
      assert.equal(refused(document), !optional.test(`${place}/${key}`), `${place} without ${key}`)
      object[key] = null
      assert.ok(refused(document), `${place}/${key} is null`)
      object[key] = value
    }
  }
  assert.equal(refused(document), false)
})

test("a rate of bytes that were not right is refused, and so is a reason that is missing", () => {
  for (const verdict of ["different", "failed"]) {
    const document = fullDocument()
    const [result] = document["results"] as Tree[]
    const [pair] = document["matrix"] as Tree[]
    for (const told of [result!, pair!]) {
      const kept = { ...told }
      Object.assign(told, { verdict, why: "lost-tail" })
      assert.ok(refused(document))
      for (const rate of ["latency", "bytesPerSecond", "ratio", "cpuSecondsPerGb"]) delete told[rate]
      assert.equal(refused(document), false, againstLoadSchema(document))
      delete told["why"]
      assert.ok(refused(document))
      Object.assign(told, kept)
    }
  }
})

test("what is no document is refused", () => {
  const document = fullDocument()
  const wrong: readonly unknown[] = [
    ...[{}, [], null, "kvferry/load/1"],
    { ...document, schema: "kvferry/load/2" },
    { ...document, schema: "kvferry/verify/1" },
    { ...document, rounds: 0 },
    { ...document, startedAt: "yesterday" },
    { ...document, verdict: "passed" },
    { ...document, shape: { ...(document["shape"] as Tree), op: "copy" } },
    { ...document, notes: ["n".repeat(5000)] },
  ]
  for (const value of wrong) assert.ok(refused(value))
})
