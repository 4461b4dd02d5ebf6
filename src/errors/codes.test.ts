import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { errorCodes } from "./codes.ts"

const pages = new URL("../../docs/failures/", import.meta.url)

test("each error code has a page that begins with it, and each page has a code", () => {
  const written = readdirSync(pages).filter((name) => name.startsWith("KV_"))
  assert.deepEqual(
    written.sort(),
    Object.keys(errorCodes)
      .map((code) => `${code}.md`)
      .sort(),
  )
  for (const name of written) {
    const code = name.replace(".md", "")
    assert.match(readFileSync(new URL(name, pages), "utf8").split("\n")[0]!, new RegExp(`\\b${code}\\b`))
  }
})

test("the index of failures names each code with its exit code and HTTP status", () => {
  const index = readFileSync(new URL("README.md", pages), "utf8")
  for (const [code, { exit, status }] of Object.entries(errorCodes)) {
    const row = index.split("\n").find((line) => line.includes(`${code}.md`))
    assert.ok(row !== undefined, `${code} has a row`)
    assert.match(row, new RegExp(`\\|\\s*${exit}\\s*\\|\\s*${status}\\s*\\|`), row)
  }
})
