import { readdir, stat, unlink } from "node:fs/promises"
import { join } from "node:path"
import type { Party } from "../receipt/receipt.ts"

/** How much a folder of receipts may grow to. */
export const logLimits = {
  /** Bytes after which a file is followed by the next one. */
  fileBytes: 8 * 2 ** 20,
  /** Files of one process; the oldest goes first. */
  filesOfProcess: 4,
  /** Files of all processes together. */
  filesInFolder: 64,
} as const

const namePattern = /^[0-9A-Za-z._-]{1,80}-[0-9a-f]{8}\.\d{6}\.jsonl$/

/** Whether a name is one of ours: nothing else in the folder is read or removed. */
export const isLogFile = (name: string): boolean => namePattern.test(name)

/** Name of the file number `count` of one process: its agent, the beginning of its boot id, and the number. */
export function logFileName({ agentId, bootId }: Party, count: number): string {
  // An agent may be called anything; a name of a file may not.
  const agent = agentId.replace(/[^0-9A-Za-z._-]/g, "_").slice(0, 80) || "_"
  return `${agent}-${bootId.slice(0, 8)}.${String(count).padStart(6, "0")}.jsonl`
}

/** Names of the log files in a folder, in no order. @throws what `readdir` answers. */
export async function logFilesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter(isLogFile)
}

/** Removes the oldest log files until no more than `keep` are left. Another process may do the same meanwhile. */
export async function removeOldest(folder: string, keep: number): Promise<void> {
  const names = await logFilesIn(folder)
  if (names.length <= keep) return
  const aged = await Promise.all(
    names.map(async (name) => ({
      name,
      at: await stat(join(folder, name)).then(({ mtimeMs }) => mtimeMs, gone),
    })),
  )
  aged.sort((a, b) => a.at - b.at)
  for (const { name } of aged.slice(0, names.length - keep)) await removeFile(join(folder, name))
}

/** Removes a file that may be gone already. */
export async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code !== "ENOENT") throw thrown
  })
}

const gone = (): number => 0
