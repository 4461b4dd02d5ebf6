import { randomBytes } from "node:crypto"
import { accessSync, constants, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { KvError } from "../../errors/kv-error.ts"

/**
 * Looks before a run whether its result can be written at the end: a run is too long to be lost to a wrong path.
 * @throws KvError KV_USAGE: the folder is not there or not ours to write, or the path is a folder.
 */
export function checkResultFile(option: string, path: string): void {
  const folder = dirname(resolve(path))
  const refuse = (why: string): KvError =>
    new KvError("KV_USAGE", {
      what: `${option} ${JSON.stringify(path.slice(0, 200))} cannot be written`,
      why,
      next: "name a file in a folder that exists and that this user may write",
    })
  try {
    if (!statSync(folder).isDirectory()) throw refuse("its folder is a file")
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw error instanceof KvError ? error : refuse(wordOf(error))
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) throw refuse("it is a folder")
}

/**
 * Writes a result whole or not at all: what is there of an earlier run stays until the new one is complete. What is no
 * plain file, a pipe say, is written to as it is.
 * @throws KvError KV_OS.
 */
export function writeResultFile(path: string, data: string | Uint8Array, mode = 0o666): void {
  try {
    const there = statSync(path, { throwIfNoEntry: false })
    if (there !== undefined && !there.isFile()) writeFileSync(path, data)
    else replaceFile(there === undefined ? resolve(path) : realpathSync(path), data, mode)
  } catch (error) {
    throw new KvError("KV_OS", {
      what: `${JSON.stringify(path.slice(0, 200))} could not be written`,
      why: wordOf(error),
      next: "check the folder's permissions and the space that is left",
      cause: error,
    })
  }
}

function replaceFile(path: string, data: string | Uint8Array, mode: number): void {
  const unfinished = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString("hex")}`)
  try {
    writeFileSync(unfinished, data, { flag: "wx", mode })
    renameSync(unfinished, path)
  } catch (error) {
    rmSync(unfinished, { force: true })
    throw error
  }
}

const wordOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
