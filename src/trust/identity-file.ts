import { createPrivateKey, generateKeyPairSync } from "node:crypto"
import type { Identity } from "../agent/credentials.ts"
import { identityOf } from "../agent/key-pairs.ts"
import { KvError } from "../errors/kv-error.ts"
import { type FileRules, makePrivateFileOnce, ownersOnly, readGuardedFile } from "./private-file.ts"

const rules: FileRules = {
  what: "the identity file",
  forbidden: ownersOnly,
  bytesMax: 16_384,
  next: "make one with: kvferry identity --file FILE",
}

/**
 * Reads an agent's key pair: an Ed25519 private key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` makes it.
 * @throws KvError KV_USAGE when it cannot be read, is open to others, or holds something else.
 */
export function readIdentity(path: string): Identity {
  const pem = readGuardedFile(path, rules)
  try {
    return identityOf(createPrivateKey({ key: Buffer.from(pem), format: "pem" }))
  } catch (thrown) {
    throw new KvError("KV_USAGE", {
      what: `the identity file ${path} holds no Ed25519 private key`,
      why: thrown instanceof KvError ? thrown.what : "it is not an unencrypted private key in PEM",
      next: rules.next,
      cause: thrown,
    })
  }
}

/** Makes a key pair where there is none, readable by its owner alone, and reads it. @throws KvError KV_USAGE. */
export function makeIdentity(path: string): Identity {
  try {
    makePrivateFileOnce(path, () => {
      const { privateKey } = generateKeyPairSync("ed25519")
      return privateKey.export({ format: "pem", type: "pkcs8" }).toString()
    })
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new KvError("KV_USAGE", { what: `the identity file ${path} cannot be made`, why, cause: thrown })
  }
  return readIdentity(path)
}
