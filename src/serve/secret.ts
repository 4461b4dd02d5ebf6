import { hkdfSync, randomBytes } from "node:crypto"
import { join } from "node:path"
import { secretBytesMin } from "../agent/credentials.ts"
import { KvError } from "../errors/kv-error.ts"
import { type FileRules, makePrivateFileOnce, ownersOnly, readGuardedFile } from "../trust/private-file.ts"
import { kvferryHome } from "./home.ts"

const rules: FileRules = {
  what: "the secret file",
  forbidden: ownersOnly,
  bytesMax: 65_536,
  next: "name a readable file with --secret-file or KVFERRY_SECRET_FILE",
}

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
  if (file === undefined) makeSecret(path)
  const secret = readGuardedFile(path, rules)
  const end = secret.at(-1) === 0x0a ? secret.byteLength - 1 : secret.byteLength
  if (end >= secretBytesMin) return secret.slice(0, end)
  throw new KvError("KV_USAGE", {
    what: `the secret file ${path} holds ${end} bytes`,
    why: `fewer than ${secretBytesMin} can be guessed`,
    next: `make one with: head -c 32 /dev/urandom | base64 > ${path}`,
  })
}

/** The bearer that the workers' HTTP ports want: derived, so that the secret itself never crosses a wire. */
export function bearerOf(secret: Uint8Array): string {
  return Buffer.from(hkdfSync("sha256", secret, "", "kvferry worker bearer 1", 32)).toString("hex")
}

function makeSecret(path: string): void {
  try {
    makePrivateFileOnce(path, () => `${randomBytes(32).toString("base64")}\n`)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    const what = `the secret file ${path} cannot be made`
    throw new KvError("KV_USAGE", { what, why, next: rules.next, cause: thrown })
  }
}
