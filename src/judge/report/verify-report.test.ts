import assert from "node:assert/strict"
import { test } from "node:test"
import type { EngineResult, VerifyDocument } from "../verify-document.ts"
import { blockKinds } from "./block-kinds.ts"
import { readMarkup } from "./markup.test.kit.ts"
import { assertPageRules, hostile, withHostileTexts } from "./page-rules.test.kit.ts"
import { baseAddressFinding, samplePassed, sampleVerify } from "./samples.test.kit.ts"
import { verifyReportHtml } from "./verify-report.ts"

const engine = (part: Partial<EngineResult>): EngineResult => ({ engine: "kvferry", cases: [], ...part })
const withEngines = (...engines: readonly EngineResult[]): VerifyDocument => ({ ...sampleVerify(), engines })

test("a report keeps the rules of its page", () => {
  for (const document of [sampleVerify(), samplePassed(), withEngines(), withEngines(engine({}))]) {
    assertPageRules(verifyReportHtml(document))
  }
})

test("the same document gives the same page", () => {
  assert.equal(verifyReportHtml(sampleVerify()), verifyReportHtml(structuredClone(sampleVerify())))
})

test("every engine, case, verdict, cause, reason and finding of the document stands in the page", () => {
  const document = sampleVerify()
  const { text, tags } = readMarkup(verifyReportHtml(document))
  for (const { engine: name, about, unavailable, libraries = [], cases } of document.engines) {
    for (const words of [name, about, unavailable, ...libraries])
      assert.ok(words === undefined || text.includes(words), words)
    for (const { id, title, why, finding } of cases) {
      for (const words of [id, title, why, finding?.text])
        assert.ok(words === undefined || text.includes(words), words)
    }
  }
  assert.ok(text.includes("the base address of the region was read in place of the block's: 7 cases"))
  assert.ok(text.includes("no end in its time"))
  assert.ok(text.includes("a process died"))
  const cells = tags.filter(({ attributes }) => /^cell /.test(attributes.get("class") ?? ""))
  const all = document.engines.flatMap(({ cases }) => cases)
  assert.equal(cells.length, all.length)
  for (const verdict of ["passed", "failed", "not supported"] as const) {
    const style = verdict === "not supported" ? "cell unsupported" : `cell ${verdict}`
    assert.equal(
      cells.filter(({ attributes }) => attributes.get("class") === style).length,
      all.filter((one) => one.verdict === verdict).length,
    )
  }
})

test("the verdict is that of the document, and names who failed", () => {
  const failed = readMarkup(verifyReportHtml(sampleVerify())).text
  assert.ok(failed.includes("nixl:UCX, nixl==0.6.1:LIBFABRIC failed"))
  const passed = readMarkup(verifyReportHtml(samplePassed())).text
  assert.ok(passed.includes("All asked cases passed"))
  assert.ok(!passed.includes("✕"))
  const interrupted = readMarkup(
    verifyReportHtml({ ...samplePassed(), verdict: "not judged", interrupted: true }),
  ).text
  assert.ok(interrupted.includes("Not judged: it was interrupted"))
  assert.ok(interrupted.includes("Interrupted"))
  const absent = engine({ engine: "nixl:UCX", unavailable: "nixl is not installed" })
  const open = verifyReportHtml({ ...withEngines(absent), verdict: "not judged" })
  assert.ok(open.includes("<title>kvferry verify: not judged<"))
  assert.ok(readMarkup(open).text.includes("Not judged: nixl:UCX does not run here"))
  assert.ok(!/✕|✓/.test(readMarkup(open).text))
})

test("what is not supported is never shown as passed", () => {
  const none = engine({
    cases: [
      {
        id: "a/b",
        suite: "a",
        title: "b",
        verdict: "not supported",
        why: "no reader",
        millis: 0,
        bytesChecked: 0,
      },
    ],
  })
  const page = verifyReportHtml(withEngines(none))
  assert.ok(!page.includes('cell passed"') && !page.includes("✓ passed"))
  assert.ok(readMarkup(page).text.includes("nothing judged"))
  assert.ok(readMarkup(page).text.includes("no reader"))
})

test("a case that one engine has and another did not get to is told as not run", () => {
  const one = { id: "a/b", suite: "a", title: "b", verdict: "passed", millis: 1, bytesChecked: 8 } as const
  const page = verifyReportHtml(withEngines(engine({ cases: [one] }), engine({ engine: "nixl", cases: [] })))
  assert.ok(page.includes('<span class="cell absent">not run</span>'))
})

test("an engine that was stopped early says why, and its other cases are not run", () => {
  const one = { id: "a/b", suite: "a", title: "b", verdict: "passed", millis: 1, bytesChecked: 8 } as const
  const two = { ...one, id: "a/c", verdict: "failed", finding: { kind: "hang", text: "t" } } as const
  const page = verifyReportHtml(
    withEngines(
      engine({ cases: [one, two] }),
      engine({ engine: "nixl", cases: [{ ...two, id: "a/b" }], stopped: "10 cases failed alike" }),
    ),
  )
  const { text } = readMarkup(page)
  assert.ok(text.includes("10 cases failed alike"))
  assert.ok(text.includes("Stopped early: nixl."))
  assert.equal(page.match(/<span class="cell absent">not run<\/span>/g)?.length, 1)
})

test("every letter of a block map has its colour, its letter and its words", () => {
  const letters = blockKinds.map(({ letter }) => letter).join("")
  const finding = { ...baseAddressFinding, maps: [{ agent: "decode", layer: 3, blocks: letters }] }
  const failed = {
    id: "a/b",
    suite: "a",
    title: "b",
    verdict: "failed",
    finding,
    millis: 1,
    bytesChecked: 8,
  } as const
  const page = verifyReportHtml(withEngines(engine({ cases: [failed] })))
  for (const { style, letter, text } of blockKinds) {
    assert.ok(page.includes(`<path class="${style}" d="`), style)
    assert.ok(readMarkup(page).text.includes(text), text)
    if (letter !== ".") assert.ok(page.includes(`class="on-${style}"`), style)
  }
})

test("the first wrong block is ringed in its own layer, and only there", () => {
  const page = verifyReportHtml(
    withEngines(
      engine({
        cases: [
          {
            id: "a/b",
            suite: "a",
            title: "b",
            verdict: "failed",
            finding: baseAddressFinding,
            millis: 1,
            bytesChecked: 8,
          },
        ],
      }),
    ),
  )
  assert.equal(page.match(/class="first"/g)?.length, 1)
  // Block 5 of the first row: the sixth cell.
  assert.ok(page.includes('<rect class="first" x="134" y="14"'))
})

test("maps of a large pool stay small, and say what was left out", () => {
  const blocks = "b".repeat(100_000)
  const finding = {
    kind: "wrong-bytes",
    text: "t",
    maps: Array.from({ length: 40 }, (_, layer) => ({ agent: "d", layer, blocks })),
  }
  const page = verifyReportHtml(
    withEngines(
      engine({
        cases: [
          { id: "a/b", suite: "a", title: "b", verdict: "failed", finding, millis: 1, bytesChecked: 8 },
        ],
      }),
    ),
  )
  assert.ok(page.length < 1_000_000, String(page.length))
  assert.ok(page.includes("drawn up to block 767 of 100000"))
  assert.ok(page.includes("and 32 more maps"))
})

test("texts of engines stay text, wherever they stand", () => {
  const kept = new Set(["verdict", "evidence", "schema", "startedAt"])
  const page = verifyReportHtml(withHostileTexts(sampleVerify(), kept))
  assertPageRules(page)
  assert.ok(!page.includes("<script>alert") && !page.includes("<img"))
  assert.ok(readMarkup(page).text.includes("<script>alert(1)</script>"))
  const untouched = withHostileTexts({ a: ["x"], verdict: "passed" }, kept)
  assert.deepEqual(untouched, { a: [`x${hostile}`], verdict: "passed" })
})
