import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { receiptOf } from "../receipt/receipt.test.kit.ts"
import { logFileName } from "./log-files.ts"
import { ReceiptLog } from "./receipt-log.ts"

const root = mkdtempSync(join(tmpdir(), "kvferry-log-"))
after(() => rmSync(root, { recursive: true, force: true }))
const party = { pid: 1, agentId: "decode-1", bootId: "ab".repeat(16) }
const otherBoot = (n: number): string => String(n).padStart(32, "0")

/** Tickets in all files of a folder, file by file. */
const ticketsIn = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n").slice(0, -1))
    .map((line) => (JSON.parse(line) as { ticket: string }).ticket)

const tickets = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => i.toString(16).padStart(16, "0"))
const silent = (): void => assert.fail("nothing is to be warned of")

test("receipts come back whole and in order from a folder that only its owner can read", async () => {
  const folder = join(root, "made", "below")
  const log = new ReceiptLog({ folder, party, warn: silent })
  for (const ticket of tickets(3000)) log.append(receiptOf({ ticket }))
  await log[Symbol.asyncDispose]()
  assert.deepEqual(ticketsIn(folder), tickets(3000))
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  const [name] = readdirSync(folder)
  assert.equal(name, "decode-1-abababab.000001.jsonl")
  assert.equal(statSync(join(folder, name!)).mode & 0o777, 0o600)
  assert.equal(log.lost, 0)
})

test("nothing is made before the first receipt", async () => {
  const folder = join(root, "never")
  await new ReceiptLog({ folder, party, warn: silent })[Symbol.asyncDispose]()
  assert.throws(() => statSync(folder))
})

test("files stay below their size, the oldest of a process go first, and the last receipts are there", async () => {
  const folder = join(root, "rotated")
  const fileBytes = 20_000
  const limits = { fileBytes, filesOfProcess: 3, filesInFolder: 64 }
  const log = new ReceiptLog({ folder, party, warn: silent, limits })
  for (const ticket of tickets(200)) {
    log.append(receiptOf({ ticket }))
    if (Number.parseInt(ticket, 16) % 7 === 0) await log.flush()
  }
  await log[Symbol.asyncDispose]()
  const names = readdirSync(folder)
  assert.equal(names.length, 3)
  for (const name of names) assert.ok(statSync(join(folder, name)).size <= fileBytes)
  const kept = ticketsIn(folder)
  assert.ok(kept.length > 20)
  assert.deepEqual(kept, tickets(200).slice(-kept.length))
})

test("the folder holds a number of files in all: the oldest go, whoever wrote them, and strangers' files stay", async () => {
  const folder = join(root, "crowded")
  mkdirSync(folder)
  writeFileSync(join(folder, "notes.txt"), "mine")
  for (let n = 0; n < 6; n++) {
    const path = join(
      folder,
      logFileName({ ...party, bootId: otherBoot(n) + n }, 1).replace("00000000", `0000000${n}`),
    )
    writeFileSync(path, "{}\n")
    utimesSync(path, 1000 + n, 1000 + n)
  }
  const limits = { fileBytes: 10_000, filesOfProcess: 4, filesInFolder: 4 }
  const log = new ReceiptLog({ folder, party, warn: silent, limits })
  log.append(receiptOf())
  await log[Symbol.asyncDispose]()
  assert.deepEqual(readdirSync(folder).sort(), [
    "decode-1-00000003.000001.jsonl",
    "decode-1-00000004.000001.jsonl",
    "decode-1-00000005.000001.jsonl",
    "decode-1-abababab.000001.jsonl",
    "notes.txt",
  ])
})

test("a folder that cannot be had is told once and counted, and appending goes on", async () => {
  const folder = join(root, "file")
  writeFileSync(folder, "no folder")
  const told: string[] = []
  const log = new ReceiptLog({ folder, party, warn: (text) => told.push(text) })
  for (let i = 0; i < 3; i++) {
    log.append(receiptOf())
    await log.flush()
  }
  assert.equal(log.lost, 3)
  assert.equal(told.length, 1)
  assert.match(told[0]!, /receipts are not written to .*file: EEXIST|ENOTDIR/)
  rmSync(folder)
  log.append(receiptOf({ ticket: "5".repeat(16) }))
  await log[Symbol.asyncDispose]()
  assert.deepEqual(ticketsIn(folder), ["5".repeat(16)], "when it can be had again, it is used again")
})

test("a folder that somebody removes is made anew; at most what was being written is lost", async () => {
  const folder = join(root, "removed")
  const log = new ReceiptLog({ folder, party, warn: () => {} })
  log.append(receiptOf())
  await log.flush()
  rmSync(folder, { recursive: true })
  for (const ticket of tickets(2)) {
    log.append(receiptOf({ ticket }))
    await log.flush()
  }
  await log[Symbol.asyncDispose]()
  assert.equal(log.lost, 1)
  assert.deepEqual(ticketsIn(folder), tickets(2).slice(1))
})

test("a link in the place of a log file is not followed", async () => {
  const folder = join(root, "linked")
  mkdirSync(folder)
  const target = join(root, "precious")
  writeFileSync(target, "as it was")
  symlinkSync(target, join(folder, logFileName(party, 1)))
  const log = new ReceiptLog({ folder, party, warn: () => {} })
  log.append(receiptOf())
  await log[Symbol.asyncDispose]()
  assert.equal(log.lost, 1)
  assert.equal(readFileSync(target, "utf8"), "as it was")
})

test("an agent may be called anything: its files stay in the folder", () => {
  for (const agentId of ["../../etc/passwd", "", "a\nb", "é".repeat(500)]) {
    assert.match(logFileName({ ...party, agentId }, 7), /^[0-9A-Za-z._-]{1,80}-abababab\.000007\.jsonl$/)
  }
})

test("a process that ends at once, or in the middle of a write, still leaves every receipt", () => {
  const script = `
    const { ReceiptLog } = await import(${JSON.stringify(new URL("./receipt-log.js", import.meta.url).href)})
    const { receiptOf } = await import(${JSON.stringify(new URL("../receipt/receipt.test.kit.js", import.meta.url).href)})
    const [folder, ticks] = process.argv.slice(1)
    const party = { pid: 1, agentId: "decode-1", bootId: "ab".repeat(16) }
    const log = new ReceiptLog({ folder, party, warn: (text) => process.stderr.write(text) })
    for (let i = 0; i < 1500; i++) log.append(receiptOf({ ticket: i.toString(16).padStart(16, "0") }))
    for (let tick = 0; tick < Number(ticks); tick++) await new Promise((resolve) => setImmediate(resolve))
    if (Number(ticks) !== 99) process.exit(0)
  `
  // 99 stands for a natural end.
  for (const ticks of [0, 1, 2, 3, 5, 8, 13, 99]) {
    const folder = join(root, `ended-${ticks}`)
    execFileSync(process.execPath, ["--input-type=module", "--eval", script, folder, String(ticks)])
    assert.deepEqual(ticketsIn(folder).sort(), tickets(1500), `after ${ticks} turns`)
  }
})
