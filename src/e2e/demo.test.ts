import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import type { DemoReport } from "../demo/demo.ts"
import { type Fault, faults } from "../verify/faults.ts"
import { kvferry } from "./run-kvferry.ts"

const document = readFileSync(new URL("../../assets/demo/document.txt", import.meta.url), "utf8")
/** About five blocks: long enough for every fault, short enough to be quick. */
const text = document.slice(0, 260)

const reportIn = (stdout: string): DemoReport => JSON.parse(stdout) as DemoReport

test("the demo's own prompts end identical, with receipts that name two other processes", async () => {
  const { code, stdout, stderr } = await kvferry(["demo", "--json"])
  assert.equal(code, 0, stderr)
  const report = reportIn(stdout)
  assert.equal(report.verdict, "identical", report.summary)
  const lengths = report.results.map(({ promptTokens }) => promptTokens)
  assert.ok(lengths.includes(1), `one prompt has 1 token: ${lengths}`)
  assert.ok(
    lengths.filter((length) => length > 1 && length % 16 === 0).length >= 3,
    `block edges: ${lengths}`,
  )
  assert.ok(Math.max(...lengths) >= 1024, `one fills the context: ${lengths}`)
  const { frontend, prefill, decode, reference } = report.processes
  assert.equal(new Set([frontend, prefill, decode, reference]).size, 4)
  for (const { record, comparison, promptTokens } of report.results) {
    const { transfer } = record
    assert.ok(transfer !== null)
    assert.equal(transfer.state, "delivered")
    assert.equal(transfer.source.pid, prefill)
    assert.equal(transfer.target.pid, decode)
    assert.notEqual(transfer.source.bootId, transfer.target.bootId)
    assert.equal(transfer.integrity.verdict, "identical")
    assert.equal(transfer.tokens, promptTokens)
    assert.equal(
      transfer.bytes,
      promptTokens * 4096,
      "4 layers × key and value × 4 heads × 32 numbers × 4 bytes",
    )
    assert.equal(record.decodePromptTokensComputed, 0)
    assert.equal(comparison.blocks.compared, 4 * Math.ceil(promptTokens / 16))
    assert.equal(comparison.logits.equal, comparison.logits.compared)
    assert.ok(comparison.logits.compared > 0)
  }
})

for (const fault of Object.keys(faults) as Fault[]) {
  test(`--inject ${fault} ends different at the right place (${faults[fault]})`, async () => {
    const { code, stdout, stderr } = await kvferry([
      "demo",
      "--json",
      "--prompt",
      text,
      "--max-tokens",
      "6",
      "--inject",
      fault,
    ])
    assert.equal(code, 1, stderr)
    const [result] = reportIn(stdout).results
    assert.equal(result?.comparison.verdict, "different")
    assert.ok(result?.planting?.possible)
    const { layer, block } = result.planting
    const found = result.comparison.firstDifference
    assert.deepEqual(
      { layer: found?.layer, block: found?.block, head: found?.head },
      { layer, block, head: 0 },
    )
    assert.ok(result.comparison.prefillIntact)
    assert.equal(result.record.transfer?.integrity.verdict, "identical", "it was planted behind the proof")
  })
}

test("--inject takes a layer, a block and a head, and they are what is named", async () => {
  const args = ["demo", "--json", "--prompt", text, "--max-tokens", "4", "--inject", "float-off:3,2,1"]
  const { code, stdout } = await kvferry(args)
  assert.equal(code, 1)
  const report = reportIn(stdout)
  assert.deepEqual(report.results[0]?.comparison.firstDifference, {
    layer: 3,
    block: 2,
    head: 1,
    plane: "key",
  })
  assert.match(report.summary, /layer 3, block 2, head 1/)
})

test("damage before the proof is convicted by the transfer itself: no token is drawn from it", async () => {
  const place = ["--inject", "block-zeroed:1,2,3", "--inject-at", "landing"]
  const { code, stdout } = await kvferry(["demo", "--json", "--prompt", text, "--max-tokens", "4", ...place])
  assert.equal(code, 1)
  const [result] = reportIn(stdout).results
  assert.equal(result?.record.transfer?.state, "failed")
  assert.equal(result?.record.transfer?.error?.code, "KV_BYTES_DIFFER")
  assert.deepEqual(result?.record.transfer?.integrity.firstDifference, { layer: 1, block: 2 })
  assert.equal(result?.record.completionTokens, 0)
  assert.equal(result?.comparison.firstDifference?.head, 3)
})

test("a fault that fits no prompt is a usage error, not a pass", async () => {
  const { code, stderr } = await kvferry(["demo", "--prompt", "Hi", "--inject", "blocks-exchanged"])
  assert.equal(code, 2)
  assert.match(stderr, /fits none of the 1 prompt /)
})

test("the user's own text comes from options, files and standard input", async () => {
  const { code, stdout, stderr } = await kvferry(
    [
      "demo",
      "--json",
      "--prompt",
      "The harbour is",
      "--prompt-file",
      "-",
      "--max-tokens",
      "5",
      "--temperature",
      "0.8",
      "--seed",
      "7",
    ],
    { input: "The sea was" },
  )
  assert.equal(code, 0, stderr)
  const { results } = reportIn(stdout)
  assert.deepEqual(
    results.map(({ shown }) => shown),
    ["The harbour is", "The sea was"],
  )
  assert.equal(results[0]?.record.sampling.seed, 7)
  const piped = await kvferry(["demo", "--json", "--max-tokens", "3"], { input: "A boat" })
  assert.deepEqual(
    reportIn(piped.stdout).results.map(({ shown }) => shown),
    ["A boat"],
  )
})

test("people get text: three processes, a receipt for each prompt, one verdict in the last line", async () => {
  const { code, stdout, stderr } = await kvferry([
    "demo",
    "--prompt",
    text,
    "--max-tokens",
    "3",
    "--rails",
    "2",
    "--paths",
    "tcp",
  ])
  assert.equal(code, 0, stderr)
  assert.match(stdout, /frontend +pid \d+/)
  assert.match(stdout, /prompt tokens computed there: 0/)
  assert.match(stdout, /2 rails/)
  assert.match(stdout.trimEnd().split("\n").at(-1)!, /^identical: 1 prompt, /)
  assert.ok(!stdout.includes("\u001b"), "no colour where there is no terminal")
})
