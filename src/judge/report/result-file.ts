import { randomBytes } from "node:crypto"
import { accessSync, constants, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { KvError } from "../../errors/kv-error.ts"

/**
 * Looks before a run whether its results can be written at the end: a run is too long to be lost to a wrong path.
 * @param files paths by option; undefined where there is none.
 * @throws KvError KV_USAGE: a folder is not there or not ours to write, a path is a folder, or one file was named twice.
 */
export function checkResultFiles(files: Readonly<Record<string, string | undefined>>): void {
  const seen = new Map<string, string>()
  for (const [option, path] of Object.entries(files)) {
    if (path === undefined) continue
    checkResultFile(option, path)
    const place = join(realpathSync(dirname(resolve(path))), basename(path))
    const other = seen.get(place)
    seen.set(place, option)
    // A pipe or a terminal takes both.
    if (other === undefined || statSync(path, { throwIfNoEntry: false })?.isFile() === false) continue
    throw new KvError("KV_USAGE", {
      what: `${other} and ${option} name one file, ${shown(path)}`,
      why: "the later one would replace the other",
      next: "give each a name of its own",
    })
  }
}

function checkResultFile(option: string, path: string): void {
  const refuse = (why: string): KvError =>
    new KvError("KV_USAGE", {
      what: `${option} ${shown(path)} cannot be written`,
      why,
      next: "name a file in a folder that exists and that this user may write",
    })
  if (path === "") throw refuse("it is no name")
  try {
    const there = statSync(path, { throwIfNoEntry: false })
    if (there?.isDirectory() === true) throw refuse("it is a folder")
    if (path.endsWith("/")) throw refuse("it names a folder")
    if (there !== undefined && !there.isFile()) accessSync(path, constants.W_OK)
    // To ask for permissions is not enough: root has them all, and some file systems take no new file.
    else tryFolder(dirname(there === undefined ? resolve(path) : realpathSync(path)))
  } catch (error) {
    throw error instanceof KvError ? error : refuse(wordOf(error))
  }
}

/** Makes a file there and takes it away again. */
function tryFolder(folder: string): void {
  const probe = join(folder, `.kvferry.${randomBytes(6).toString("hex")}`)
  writeFileSync(probe, "", { flag: "wx" })
  rmSync(probe)
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
      what: `${shown(path)} could not be written`,
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

const shown = (path: string): string => JSON.stringify(path.slice(0, 200))
const wordOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
