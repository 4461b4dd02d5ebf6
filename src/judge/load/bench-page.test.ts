import assert from "node:assert/strict"
import { readFileSync, writeFileSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { modelLoad } from "./model-load.ts"
import { modelPresets } from "./model-presets.ts"

const page = fileURLToPath(new URL("../../../docs/bench.md", import.meta.url))
const place = /(<!-- models:[^>]*-->\n)[\s\S]*?(<!-- end -->)/

function table(): string {
  const rows = modelPresets.map(({ name, source, layers, kv, window }) => {
    const load = (tp: number) =>
      modelLoad({ model: name, tokens: 4096, tp, blockTokens: 16, elementBytes: 2 })
    const one = load(1)
    const windowed =
      window === undefined ? "" : `, ${window.layers} of them with a window of ${window.tokens}`
    return [
      `\`${name}\``,
      source,
      `${layers}${windowed}`,
      kv.kind === "heads" ? `${kv.kvHeads} × ${kv.headDim}` : `${kv.latent} + ${kv.rope}`,
      one.bytesPerToken.toLocaleString("en"),
      one.rank.blockBytes.toLocaleString("en"),
      `${(one.promptBytes / 2 ** 20).toLocaleString("en", { maximumFractionDigits: 0 })} MiB`,
    ]
  })
  const titles = [
    "name",
    "repository",
    "layers",
    "heads × numbers, or latent + rotary",
    "bytes a token",
    "bytes a block of one layer, TP 1",
    "4,096 tokens",
  ]
  return [titles, titles.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")
}

test("the table of models in docs/bench.md is that of the code (KVFERRY_WRITE_DOCS=1 writes it)", () => {
  const before = readFileSync(page, "utf8")
  assert.match(before, place)
  const after = before.replace(place, (_, start: string, end: string) => `${start}\n${table()}\n\n${end}`)
  if (process.env["KVFERRY_WRITE_DOCS"] === "1") writeFileSync(page, after)
  else assert.equal(before, after)
})

test("the arithmetic that the page shows is what is printed", () => {
  const { formula } = modelLoad({
    model: "llama-3.1-70b",
    tokens: 4096,
    tp: 8,
    blockTokens: 16,
    elementBytes: 2,
  })
  assert.ok(readFileSync(page, "utf8").includes(formula.join("\n")))
})
