import assert from "node:assert/strict"
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { receiptOf } from "../receipt/receipt.test.kit.ts"
import { LastReceipts } from "./last-receipts.ts"
import { ReceiptFolder } from "./receipt-folder.ts"

const root = mkdtempSync(join(tmpdir(), "kvferry-folder-"))
after(() => rmSync(root, { recursive: true, force: true }))

const line = (ticket: string): string => JSON.stringify(receiptOf({ ticket }))
const fileOf = (n: number): string => `decode-1-0000000${n}.000001.jsonl`

function folderOf(name: string): {
  readonly path: string
  readonly looked: () => Promise<string[]>
  readonly folder: ReceiptFolder
} {
  const path = join(root, name)
  mkdirSync(path)
  const folder = new ReceiptFolder(path)
  const looked = async (): Promise<string[]> => {
    const tickets: string[] = []
    await folder.look(({ ticket }) => tickets.push(ticket))
    return tickets
  }
  return { path, looked, folder }
}

test("each look brings what is new: more lines, new files, and no line before its end", async () => {
  const { path, looked, folder } = folderOf("growing")
  assert.deepEqual(await looked(), [])
  writeFileSync(join(path, fileOf(1)), `${line("a")}\n${line("b")}\n`)
  assert.deepEqual(await looked(), ["a", "b"])
  assert.deepEqual(await looked(), [])
  const whole = Buffer.from(`${JSON.stringify(receiptOf({ ticket: "c", requestId: "é漢😀" }))}\n`)
  const requests: string[] = []
  for (const byte of whole) {
    assert.equal(requests.length, 0)
    appendFileSync(join(path, fileOf(1)), Buffer.of(byte))
    await folder.look(({ requestId }) => requests.push(requestId))
    assert.equal(folder.torn, byte === 10 ? 0 : 1)
  }
  assert.deepEqual(requests, ["é漢😀"])
  writeFileSync(join(path, fileOf(2)), `${line("d")}\n`)
  assert.deepEqual(await looked(), ["d"])
  assert.equal(folder.skipped, 0)
})

test("a file that is removed, made anew, cut or exchanged is read from its start again", async () => {
  const { path, looked, folder } = folderOf("changing")
  const file = join(path, fileOf(1))
  writeFileSync(file, `${line("a")}\n${line("b")}\n{"torn`)
  assert.deepEqual(await looked(), ["a", "b"])
  truncateSync(file, 0)
  writeFileSync(file, `${line("c")}\n`)
  assert.deepEqual(await looked(), ["c"])
  assert.equal(folder.torn, 0, "what was left of the old content is forgotten")
  unlinkSync(file)
  assert.deepEqual(await looked(), [])
  writeFileSync(file, `${line("d")}\n`)
  assert.deepEqual(await looked(), ["d"])
  writeFileSync(join(root, "other"), `${line("e")}\n${line("f")}\n`)
  renameSync(join(root, "other"), file)
  assert.deepEqual(await looked(), ["e", "f"])
})

test("foreign, overlong and binary lines are skipped and counted, and what stands behind them is read", async () => {
  const { path, looked, folder } = folderOf("hostile")
  const rest = [
    "not json",
    '{"schema":"kvferry/receipt/1"}',
    "x".repeat(3_000_000),
    line("a"),
    "\u0000\u001b[2J",
    "",
    line("b"),
  ]
  writeFileSync(join(path, fileOf(1)), `${rest.join("\n")}\n${"y".repeat(200_000)}`)
  writeFileSync(join(path, "notes.txt"), line("no"))
  mkdirSync(join(path, fileOf(3)))
  assert.deepEqual(await looked(), ["a", "b"])
  assert.equal(folder.skipped, 4)
  assert.equal(folder.torn, 1)
})

test("a folder that is not there is told by the system's own error", async () => {
  await assert.rejects(
    new ReceiptFolder(join(root, "nowhere")).look(() => {}),
    { code: "ENOENT" },
  )
})

test("the last receipts are those that ended last, in the order of their time", () => {
  const at = (second: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()
  const last = new LastReceipts(5)
  // 7919 is prime: every second from 0 to 4999 once, in no order.
  for (let i = 0; i < 5000; i++) last.add(receiptOf({ endedAt: at((i * 7919) % 5000) }))
  assert.deepEqual(
    last.inOrder().map(({ endedAt }) => endedAt),
    [4995, 4996, 4997, 4998, 4999].map(at),
  )
})
