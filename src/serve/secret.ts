import { hkdfSync, randomBytes } from "node:crypto"
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { secretBytesMin } from "../agent/credentials.ts"
import { KvError } from "../errors/kv-error.ts"
import { kvferryHome } from "./home.ts"

/** Where one user's processes find their common secret when nobody says otherwise. */
export const defaultSecretFile = (): string => join(kvferryHome(), "secret")

/**
 * Reads the cluster's secret; the default file is made at first use, readable by its owner alone.
 *
 * @param file a file that the operator named; it must exist.
 * @throws KvError KV_USAGE when it cannot be read, is open to others, or holds too little.
 */
export function readSecret(file: string | undefined): Uint8Array {
  const path = file ?? defaultSecretFile()
  try {
    if (file === undefined) makeOnce(path)
    const { mode } = statSync(path)
    if ((mode & 0o077) !== 0) {
      throw new KvError("KV_USAGE", {
        what: `the secret file ${path} has mode ${(mode & 0o777).toString(8)}`,
        why: "others on this machine can read it",
        next: `chmod 600 ${path}`,
      })
    }
    const secret = readFileSync(path)
    const end = secret.at(-1) === 0x0a ? secret.byteLength - 1 : secret.byteLength
    if (end < secretBytesMin) {
      throw new KvError("KV_USAGE", {
        what: `the secret file ${path} holds ${end} bytes`,
        why: `fewer than ${secretBytesMin} can be guessed`,
        next: `make one with: head -c 32 /dev/urandom | base64 > ${path}`,
      })
    }
    return new Uint8Array(secret.subarray(0, end))
  } catch (thrown) {
    if (thrown instanceof KvError) throw thrown
    throw new KvError("KV_USAGE", {
      what: `the secret file ${path} cannot be read`,
      why: thrown instanceof Error ? thrown.message : String(thrown),
      next: "name a readable file with --secret-file or KVFERRY_SECRET_FILE",
      cause: thrown,
    })
  }
}

/** The bearer that the workers' HTTP ports want: derived, so that the secret itself never crosses a wire. */
export function bearerOf(secret: Uint8Array): string {
  return Buffer.from(hkdfSync("sha256", secret, "", "kvferry worker bearer 1", 32)).toString("hex")
}

/**
 * Writes a new secret. Two processes that start together end up with the one that was there first: it is written
 * aside and then linked, so that nobody ever finds the file without its content.
 */
function makeOnce(path: string): void {
  if (existsSync(path)) return
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const aside = `${path}.${process.pid}.${randomBytes(6).toString("hex")}`
  writeFileSync(aside, `${randomBytes(32).toString("base64")}\n`, { flag: "wx", mode: 0o600 })
  try {
    chmodSync(aside, 0o600)
    linkSync(aside, path)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown
  } finally {
    unlinkSync(aside)
  }
}
