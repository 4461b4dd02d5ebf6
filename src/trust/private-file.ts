import { randomBytes } from "node:crypto"
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname } from "node:path"
import { KvError } from "../errors/kv-error.ts"

/** What the reader of a file insists on. */
export interface FileRules {
  /** What it is, for messages: "the secret file". */
  readonly what: string
  /** Permission bits that it may not have, and why not. */
  readonly forbidden: { readonly mode: number; readonly why: string; readonly cure: string }
  readonly bytesMax: number
  /** What to do when it cannot be read. */
  readonly next: string
}

/** Rules of a file that nobody but its owner may open. */
export const ownersOnly = {
  mode: 0o077,
  why: "others on this machine can read it",
  cure: "chmod 600",
} as const

/**
 * Reads a small file that others may not open, or not change.
 * @throws KvError KV_USAGE when it cannot be read, is too open or too long.
 */
export function readGuardedFile(path: string, { what, forbidden, bytesMax, next }: FileRules): Uint8Array {
  try {
    // Not to wait for somebody who writes into a pipe of that name.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      // The mode of what is open here, not of what has the name a moment later.
      const stat = fstatSync(file)
      if ((stat.mode & forbidden.mode) !== 0) {
        throw new KvError("KV_USAGE", {
          what: `${what} ${path} has mode ${(stat.mode & 0o777).toString(8)}`,
          why: forbidden.why,
          next: `${forbidden.cure} ${path}`,
        })
      }
      if (stat.size > bytesMax) {
        throw new KvError("KV_USAGE", {
          what: `${what} ${path} has ${stat.size} bytes`,
          why: `at most ${bytesMax} are read`,
        })
      }
      if (!stat.isFile()) throw new Error(stat.isDirectory() ? "it is a folder" : "it is no file")
      return new Uint8Array(readFileSync(file))
    } finally {
      closeSync(file)
    }
  } catch (thrown) {
    if (thrown instanceof KvError) throw thrown
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new KvError("KV_USAGE", { what: `${what} ${path} cannot be read`, why, next, cause: thrown })
  }
}

/**
 * Makes a file for its owner's eyes, unless it is there. Two processes that start together end up with the one that
 * was there first: it is written aside and then linked, so that nobody ever finds the file without its content.
 * @throws Error of the file system.
 */
export function makePrivateFileOnce(path: string, content: () => string): void {
  if (existsSync(path)) return
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const aside = `${path}.${process.pid}.${randomBytes(6).toString("hex")}`
  writeFileSync(aside, content(), { flag: "wx", mode: 0o600 })
  try {
    chmodSync(aside, 0o600)
    linkSync(aside, path)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown
  } finally {
    unlinkSync(aside)
  }
}
