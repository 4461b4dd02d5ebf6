/** The command lines of docs/bench.md, read as the command reads them; nothing is run. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { loadRequest } from "../judge/load/load-request.ts"
import { translateTransferEngineBench } from "../judge/load/transfer-engine-bench.ts"
import { benchCommand } from "./bench.ts"
import { type LoadOptionValues, loadFlags } from "./load-options.ts"
import { transferEngineFlags } from "./transfer-engine-options.ts"

const page = readFileSync(fileURLToPath(new URL("../../docs/bench.md", import.meta.url)), "utf8")
const lines = [...page.matchAll(/^kvferry bench(?: (.*?))?(?: +#.*)?$/gm)].map(([, words]) => words ?? "")

/** The name of the command that a line calls, and what was made of its options. */
async function parsed(line: string): Promise<{ readonly name: string; readonly values: LoadOptionValues }> {
  let seen: { readonly name: string; readonly values: LoadOptionValues } | undefined
  const bench = benchCommand()
  for (const command of [bench, ...bench.commands])
    command.action((values: LoadOptionValues) => {
      seen = { name: command.name(), values }
    })
  await bench.parseAsync(line.split(/\s+/).filter(Boolean), { from: "user" })
  assert.ok(seen !== undefined, line)
  return seen
}

test("every command line of docs/bench.md is understood, and contradicts nothing", async () => {
  assert.ok(lines.length >= 8, `${lines.length} lines were found`)
  for (const line of lines) {
    const { name, values } = await parsed(line)
    const mooncake = transferEngineFlags({ ...values })
    if (mooncake !== undefined) translateTransferEngineBench(mooncake, {})
    else if (name === "bench") loadRequest(await loadFlags(values))
    else assert.ok(["target", "initiator"].includes(name), line)
  }
})

test("docs/bench.md names every option, and none that is not there", () => {
  const shown = benchCommand()
    .options.filter(({ hidden }) => !hidden)
    .map(({ long }) => long!)
  const options = page.slice(page.indexOf("## Options"), page.indexOf("## Other benches'"))
  for (const option of shown) assert.ok(options.includes(`${option}`), `${option} is missing`)
  const known = new Set(shown)
  for (const [option] of options.matchAll(/--[a-z][a-z-]+/g))
    assert.ok(known.has(option), `${option} is unknown`)
})
