import assert from "node:assert/strict"
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { receiptOf } from "../receipt/receipt.test.kit.ts"
import type { TransferReceipt } from "../receipt/receipt.ts"
import { kvferry, startKvferry } from "./run-kvferry.ts"

const root = mkdtempSync(join(tmpdir(), "kvferry-receipts-"))
after(() => rmSync(root, { recursive: true, force: true }))

const at = (second: number): string => new Date(Date.UTC(2026, 10, 20, 12, 0, second)).toISOString()
const write = (folder: string, file: string, receipts: readonly TransferReceipt[]): void =>
  appendFileSync(join(folder, file), receipts.map((receipt) => `${JSON.stringify(receipt)}\n`).join(""))

/** Two processes' files: ten delivered, one that differs, and what is no receipt. */
function folderOf(name: string): string {
  const folder = join(root, name)
  mkdirSync(folder)
  const even = [0, 2, 4, 6, 8].map((n) => receiptOf({ requestId: `even-${n}`, endedAt: at(n) }))
  const odd = [1, 3, 5, 7, 9].map((n) => receiptOf({ requestId: `odd-${n}`, endedAt: at(n) }))
  write(folder, "decode-1-00000001.000001.jsonl", even)
  write(folder, "decode-2-00000002.000001.jsonl", odd)
  const wrong = receiptOf({
    requestId: "\u001b[2J\u202eevil\nline",
    endedAt: at(10),
    state: "failed",
    path: { transport: "shm", why: "shm: one host (first allowed path)", rails: [] },
    integrity: { level: "full", checked: 4, epochs: 0, verdict: "different" },
    error: { code: "KV_BYTES_DIFFER", what: "layer 1, block 2 differs" },
    micros: { ...receiptOf().micros, total: 20_000 },
  })
  write(folder, "decode-2-00000002.000002.jsonl", [wrong])
  appendFileSync(join(folder, "decode-2-00000002.000002.jsonl"), 'junk\n{"schema":"kvferry/rec')
  return folder
}

const requestsIn = (stdout: string): string[] =>
  (JSON.parse(stdout) as TransferReceipt[]).map(({ requestId }) => requestId)

test("receipts of all processes come in the order of time, as a table that obeys nothing it shows", async () => {
  const { code, stdout, stderr } = await kvferry(["receipts", "--dir", folderOf("table")])
  assert.equal(code, 0, stderr)
  const lines = stdout.trimEnd().split("\n")
  assert.equal(lines.length, 13, "a heading, eleven receipts, a summary")
  assert.match(lines[0]!, /^ended \(UTC\) +request +path +blocks +bytes +rate +total +integrity +state$/)
  for (let n = 0; n < 10; n++)
    assert.match(lines[n + 1]!, new RegExp(`12:00:0${n}\\.000 +(even|odd)-${n} +tcp`))
  assert.match(lines[11]!, /\\u\{1b\}\[2J\\u\{202e\}evil.* shm .* full: different +failed KV_BYTES_DIFFER$/)
  assert.match(
    lines[12]!,
    /^11 tickets; 33.0 MiB; total p50 5.67 ms, p99 20.0 ms; 10 delivered, 1 failed; 10 identical, 1 different$/,
  )
  assert.doesNotMatch(stdout, /(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
  assert.match(stderr, /1 line skipped: no receipts of this version/)
  assert.match(stderr, /1 file ended in the middle of a line/)
})

test("--json is one array and nothing else, safe on a terminal, and the filters choose", async () => {
  const folder = folderOf("filters")
  const cases: [readonly string[], readonly string[]][] = [
    [
      ["--last", "2"],
      ["odd-9", "\u001b[2J\u202eevil\nline"],
    ],
    [
      ["--request", "odd-", "--last", "all"],
      ["odd-1", "odd-3", "odd-5", "odd-7", "odd-9"],
    ],
    [["--since", at(9), "--verdict", "identical"], ["odd-9"]],
    [["--state", "failed,expired"], ["\u001b[2J\u202eevil\nline"]],
    [["--transport", "shm"], ["\u001b[2J\u202eevil\nline"]],
    [["--slower", "10ms"], ["\u001b[2J\u202eevil\nline"]],
    [["--peer", "nobody"], []],
  ]
  for (const [filter, expected] of cases) {
    const { code, stdout } = await kvferry(["receipts", "--json", "--dir", folder, ...filter])
    assert.equal(code, 0)
    assert.deepEqual(requestsIn(stdout), expected, filter.join(" "))
    assert.doesNotMatch(stdout, /(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
  }
})

test("a folder that is not there, one without receipts, and bad options are told with what to do", async () => {
  const fresh = await kvferry(["receipts"], { env: { KVFERRY_HOME: join(root, "fresh") } })
  assert.equal(fresh.code, 3)
  assert.match(
    fresh.stderr,
    /there are no receipts: .*fresh\/receipts does not exist[\s\S]*next: run `npm start`/,
  )
  const json = await kvferry(["receipts", "--json", "--dir", join(root, "nowhere")])
  assert.equal(json.code, 3)
  assert.equal((JSON.parse(json.stdout) as { error: { code: string } }).error.code, "KV_OS")
  const empty = join(root, "empty")
  mkdirSync(empty)
  const none = await kvferry(["receipts", "--dir", empty])
  assert.equal(none.code, 0)
  assert.match(none.stdout, /^0 tickets match in .*empty\n$/)
  for (const [args, words] of [
    [["--state", "lost"], /delivered, failed, cancelled, expired/],
    [["--verdict", "good"], /identical, current, different/],
    [["--slower", "fast"], /microseconds/],
    [["--since", "yesterday"], /span/],
    [["--last", "0"], /whole number from 1/],
  ] as const) {
    const { code, stderr } = await kvferry(["receipts", "--dir", empty, ...args])
    assert.equal(code, 2)
    assert.match(stderr, words)
  }
})

test("--follow tells what comes, in new files too and not before a line has its end, until Ctrl-C", async () => {
  const folder = join(root, "later", "receipts")
  const env = { KVFERRY_HOME: join(root, "later") }
  const { child, ended } = startKvferry(["receipts", "--follow", "--json", "--state", "delivered"], { env })
  const said = { stdout: "", stderr: "" }
  child.stdout!.on("data", (chunk: Buffer) => {
    said.stdout += chunk.toString()
  })
  child.stderr!.on("data", (chunk: Buffer) => {
    said.stderr += chunk.toString()
  })
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      assert.equal(child.exitCode, null, said.stderr)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const requests = (): string[] =>
    said.stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as TransferReceipt).requestId)
  await until(() => said.stderr.includes("is not there yet"))
  mkdirSync(folder, { recursive: true })
  write(folder, "decode-1-00000001.000001.jsonl", [
    receiptOf({ requestId: "a" }),
    receiptOf({ state: "expired" }),
  ])
  await until(() => requests().length === 1)
  const torn = JSON.stringify(receiptOf({ requestId: "b" }))
  writeFileSync(join(folder, "decode-1-00000001.000002.jsonl"), torn.slice(0, 100))
  write(folder, "decode-1-00000001.000001.jsonl", [receiptOf({ requestId: "c" })])
  await until(() => requests().length === 2)
  appendFileSync(join(folder, "decode-1-00000001.000002.jsonl"), `${torn.slice(100)}\n`)
  await until(() => requests().length === 3)
  child.kill("SIGINT")
  assert.equal((await ended).code, 130)
  assert.deepEqual(requests(), ["a", "c", "b"])
})
