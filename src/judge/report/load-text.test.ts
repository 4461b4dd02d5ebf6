import assert from "node:assert/strict"
import { test } from "node:test"
import { stripVTControlCharacters } from "node:util"
import { styleFor } from "../../terminal/style.ts"
import { loadChartLines } from "./load-text.ts"
import { hostile } from "./page-rules.test.kit.ts"
import { sampleLoad } from "./samples.test.kit.ts"

const plain = styleFor({ isTTY: false }, {})
const coloured = styleFor({ isTTY: true }, { FORCE_COLOR: "1" })
const lines = (columns: number, document = sampleLoad()): string[] =>
  loadChartLines(document, { columns, style: plain })

test("no line is wider than the terminal, and every figure stands there at any width", () => {
  for (const columns of [60, 64, 72, 80, 100, 200]) {
    const told = lines(columns)
    for (const line of told) assert.ok(line.length <= columns, `${line.length} of ${columns}: ${line}`)
    const text = told.join("\n")
    for (const words of ["0.341× (0.314 to 0.365)", "25.6 ms", "wrong bytes", "failed: no rate"]) {
      assert.ok(text.includes(words), `${columns}: ${words}`)
    }
  }
})

test("a bar ends with its interval, and the ceiling goes through those that are shorter", () => {
  const told = lines(100)
  const bar = (name: string): string => told.find((line) => line.startsWith(`  ${name} `))!.slice(50)
  assert.match(bar("memcpy"), /^█+▒+$/)
  assert.match(bar("kvferry"), /^█+ +┊$/)
  assert.match(bar("nixl:UCX"), /^█+▒+ +┊$/)
  assert.ok(bar("nixl:UCX").indexOf("▒") < bar("kvferry").lastIndexOf("█"))
})

test("a narrow terminal has figures and no bars", () => {
  const text = lines(44).join("\n")
  assert.ok(text.includes("0.341×"))
  assert.doesNotMatch(text, /[█▒●▁]/)
})

test("colour changes nothing of the words", () => {
  const told = loadChartLines(sampleLoad(), { columns: 90, style: coloured })
  assert.ok(told.join("").includes("\u001b["))
  assert.deepEqual(told.map(stripVTControlCharacters), lines(90))
})

test("an engine whose bytes were wrong has no bar, no time and no round", () => {
  const document = sampleLoad()
  const results = document.results.map((result) => ({
    ...result,
    ...(result.verdict === "identical" ? {} : { ratio: { median: 7777, low: 7777, high: 7777 } }),
  }))
  const told = lines(100, { ...document, results })
  const bad = told.filter((line) => line.includes("LIBFABRIC") || line.includes("mooncake"))
  assert.equal(bad.length, 2)
  for (const line of bad) assert.doesNotMatch(line, /[█▒●▁]|7777/)
})

test("many rounds are gathered without losing the slowest", () => {
  const document = sampleLoad()
  const results = document.results.slice(0, 2).map((result) => ({
    ...result,
    microsByRound: Array.from({ length: 1000 }, (_, i) => (i === 777 ? 90 : 10 + (i % 2))),
  }))
  const told = lines(80, { ...document, results })
  const spark = told.find((line) => /[▁█]/.test(line) && line.includes("10 µs to 90 µs"))!
  assert.equal(spark.match(/█/g)?.length, 1)
  assert.ok(told.join(" ").replaceAll("   ", " ").includes("own fastest and slowest"))
})

test("one engine alone, or none, has no chart of ratios, and nothing breaks", () => {
  const document = sampleLoad()
  const alone = lines(80, { ...document, results: [document.results[1]!] })
  assert.ok(!alone.join("\n").includes("Speed beside"))
  assert.deepEqual(lines(80, { ...document, results: [] }), [])
})

test("hostile names and reasons are not obeyed", () => {
  const document = sampleLoad()
  const results = document.results.map((result) => ({
    ...result,
    engine: hostile,
    about: hostile,
    why: hostile,
  }))
  for (const line of lines(80, { ...document, results })) {
    assert.doesNotMatch(line, /\p{Cc}|\p{Bidi_Control}/u)
    assert.ok(line.length <= 80)
  }
})
