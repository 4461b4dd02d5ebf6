/** What engines write for a terminal, seen in every view of a run. */
import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { machineFacts } from "../../bench/machine.ts"
import { terminalJson } from "../../terminal/one-line.ts"
import { styleFor } from "../../terminal/style.ts"
import { writeBundle } from "../bundle/bundle.ts"
import { untar } from "../bundle/untar.test.kit.ts"
import type { EngineCommand } from "../engines/engine-command.ts"
import { readMarkup } from "../report/markup.test.kit.ts"
import { verifyReportHtml } from "../report/verify-report.ts"
import type { VerifyDocument } from "../verify-document.ts"
import { chooseCases } from "./choose-cases.ts"
import { liar } from "./judge-liar.test.kit.ts"
import { junitXml } from "./junit.ts"
import { runEngine } from "./run-engine.ts"
import { verifyLines } from "./verify-text.ts"

const folder = mkdtempSync(join(tmpdir(), "kvferry-logs-"))
after(() => rmSync(folder, { recursive: true }))

/** A liar whose process first writes `bytes` to its log, and colours what it says of itself. */
function talker(bytes: Buffer): EngineCommand {
  const [file, log] = [join(folder, "talk.cjs"), join(folder, "log")]
  writeFileSync(log, bytes)
  writeFileSync(
    file,
    `const fs = require("node:fs")
    fs.writeSync(2, fs.readFileSync(${JSON.stringify(log)}))
    const write = process.stdout.write.bind(process.stdout)
    process.stdout.write = (text, ...more) => write(String(text).replace('"about":"', '"about":"\\\\u001b[1m\\\\u001b[38;5;9m'), ...more)`,
  )
  const engine = liar("dies-of-nothing")
  return { ...engine, args: ["--require", file, ...engine.args] }
}

async function judged(bytes: Buffer): Promise<VerifyDocument> {
  const cases = chooseCases(undefined, ["shapes/zero-length"])
  const signal = new AbortController().signal
  const options = { cases, seed: 1, effort: "quick", failFast: false, all: true, signal } as const
  return {
    schema: "kvferry/verify/1",
    software: "0",
    startedAt: "2026-01-01T00:00:00.000Z",
    tookMillis: 1,
    seed: 1,
    machine: machineFacts(),
    evidence: "lab",
    interrupted: false,
    engines: [await runEngine(talker(bytes), options)],
    verdict: "failed",
  }
}

/** Every view of a run that somebody may look at, by its name. */
async function viewsOf(document: VerifyDocument): Promise<Map<string, string>> {
  const bundle = join(folder, "e.tar.gz")
  await writeBundle(bundle, { command: ["kvferry", "verify"], documents: { verify: document } })
  return new Map([
    ["terminal", verifyLines(document, styleFor({}, {})).join("\n")],
    ["JSON", terminalJson(document)],
    ["JUnit", junitXml(document)],
    ["page", readMarkup(verifyReportHtml(document)).text],
    ...[...untar(readFileSync(bundle))].map(([path, text]) => [path, text.toString()] as const),
  ])
}

test("no view shows what a log has for a terminal, and each shows its words", async () => {
  const invalid = Buffer.from([0x57, 0x20, 0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x0a])
  const document = await judged(
    Buffer.concat([
      Buffer.from("\u001b]0;nixl\u0007\u001b[33mW1121 libfabric.cpp:412]\u001b[0m the provider\u001b[K\n"),
      invalid,
      Buffer.from("\u009b31mE\u009b0m nul:\u0000 bell:\u0007\n"),
      Buffer.from(`long ${"x".repeat(20_000)}\n`),
      Buffer.from("loading 10 %\rloading 50 %\rloading done\n\u001b[2A\u001b[1Gmoved\u001b[?25h\ttabbed\r\n"),
    ]),
  )
  const log = document.engines[0]!.cases[0]!.finding!.log!
  const [warning, odd, fatal, long, progress, moved, last] = log.split("\n")
  assert.equal(warning, "W1121 libfabric.cpp:412] the provider")
  assert.match(odd!, /^W \ufffd+\(\ufffd+$/)
  assert.equal(fatal, "E nul:\\u{0} bell:\\u{7}")
  assert.match(long!, /^long x{394}…$/)
  assert.equal(progress, "loading done")
  assert.equal(moved, "moved  tabbed")
  assert.match(last!, /nothing to move/)
  for (const [name, text] of await viewsOf(document)) {
    assert.doesNotMatch(text, /[\p{Cc}\p{Cs}](?<![\n\t])/u, name)
    assert.doesNotMatch(text, /1b\}?\[|\[0m|\[33m|\[1m|\[38;|\[2A|0;nixl|loading 50/, name)
    if (/page|JUnit|JSON|verify\.json|logs\//.test(name))
      assert.ok(text.includes("W1121 libfabric.cpp:412] the"), name)
  }
})

test("of a very long log its end is kept, from the beginning of a line", async () => {
  const line = "\u001b[32mI1121\u001b[0m rail 7 has moved something: 0123456789\n"
  const lines = Array.from({ length: 20_000 }, () => line).join("")
  const document = await judged(Buffer.from(`${lines}${"y".repeat(10)}\nE the last one\n`))
  const log = document.engines[0]!.cases[0]!.finding!.log!
  assert.ok(log.length > 7000 && log.length <= 8192, String(log.length))
  assert.match(
    log,
    /^(I1121 rail 7 has moved something: 0123456789\n)+y{10}\nE the last one\n.*nothing to move/,
  )
})

test("of one endless line some of its end is kept, and it is said that it was cut", async () => {
  const document = await judged(Buffer.from(`${"é\u001b[1m".repeat(40_000)}E why`))
  const log = document.engines[0]!.cases[0]!.finding!.log!
  assert.match(log, /^…é{250,}E whynothing to move$/u)
})
