import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { fromJSONSchema, type ZodType } from "zod"
import type { LoadDocument } from "../load-document.ts"

/** What the repository publishes of the document's form. */
export const loadSchemaFile = fileURLToPath(new URL("../../../docs/schemas/load-1.json", import.meta.url))

let published: ZodType | undefined

/** What the published schema has against a value; undefined when it is a document. */
export function againstLoadSchema(value: unknown): string | undefined {
  const json = JSON.parse(readFileSync(loadSchemaFile, "utf8")) as Parameters<typeof fromJSONSchema>[0]
  published ??= fromJSONSchema(json)
  const { error } = published.safeParse(value)
  return error === undefined ? undefined : JSON.stringify(error.issues)
}

/** A document as it is printed, held against the published schema. */
export function printedLoad(text: string): LoadDocument {
  const document = JSON.parse(text) as LoadDocument
  assert.equal(againstLoadSchema(document), undefined)
  return document
}
