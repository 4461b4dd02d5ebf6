import { hkdfSync, randomBytes } from "node:crypto"
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { dirname, join } from "node:path"
import { KvError } from "../errors/kv-error.ts"

/** Where one user's processes find their common secret when nobody says otherwise. */
export const defaultSecretFile = (): string => join(homedir(), ".kvferry", "secret")

/**
 * Reads the cluster's secret; the default file is made at first use, readable by its owner alone.
 *
 * @param file a file that the operator named; it must exist.
 * @throws KvError KV_USAGE when it cannot be read, is open to others, or holds too little.
 */
export function readSecret(file: string | undefined): Uint8Array {
  const path = file ?? defaultSecretFile()
  if (file === undefined) makeOnce(path)
  try {
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

/** Writes a new secret. Two processes that start together end up with the one that was there first. */
function makeOnce(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    writeFileSync(path, `${randomBytes(32).toString("base64")}\n`, { flag: "wx", mode: 0o600 })
    chmodSync(path, 0o600)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown
  }
}
