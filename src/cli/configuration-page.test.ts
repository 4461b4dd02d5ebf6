import assert from "node:assert/strict"
import { readFileSync, writeFileSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { tablesOfPage } from "./configuration-page.test.kit.ts"

const page = fileURLToPath(new URL("../../docs/configuration.md", import.meta.url))
const placeOf = (name: string): RegExp => new RegExp(`(<!-- ${name}:[^>]*-->\n)[\\s\\S]*?(<!-- end -->)`)

test("the tables of docs/configuration.md are those of the code (KVFERRY_WRITE_DOCS=1 writes them)", () => {
  const before = readFileSync(page, "utf8")
  let after = before
  for (const [name, table] of Object.entries(tablesOfPage())) {
    assert.match(after, placeOf(name), `there is no place for the table ${name}`)
    after = after.replace(placeOf(name), (_, start: string, end: string) => `${start}\n${table}\n\n${end}`)
  }
  if (process.env["KVFERRY_WRITE_DOCS"] === "1") writeFileSync(page, after)
  else assert.equal(before, after)
})
