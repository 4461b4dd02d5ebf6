import type { Credentials } from "../agent/credentials.ts"
import { KvError } from "../errors/kv-error.ts"
import { makeIdentity, readIdentity } from "../trust/identity-file.ts"
import { openTrustFile } from "../trust/trust-file.ts"
import { defaultIdentityFile } from "./home.ts"
import { readSecret } from "./secret.ts"

/** The files that an operator named. `docs/trust.md` has their formats. */
export interface CredentialFiles {
  /** The cluster's secret: at least 16 bytes, mode 0600. */
  readonly secretFile?: string | undefined
  /** Public keys that are let in, one a line, with what each may do. Looked at again whenever a peer is let in. */
  readonly trust?: string | undefined
  /** This agent's private key, mode 0600. `~/.kvferry/identity`, made at first use, when there is a trust file only. */
  readonly identity?: string | undefined
}

/**
 * What an agent authenticates with, from its files: the secret alone, unless a trust file is named; then this side's
 * key, and together with it the secret only where its file was named too.
 *
 * The default secret and the default identity are made at first use; a file that was named must be there.
 * @throws KvError KV_USAGE for a file that cannot be used, and for an identity without a trust file.
 */
export function credentialsFrom({ secretFile, trust, identity }: CredentialFiles): Credentials {
  if (trust === undefined) {
    if (identity === undefined) return { secret: readSecret(secretFile) }
    throw new KvError("KV_USAGE", {
      what: `an identity (${identity}) without a trust file`,
      why: "with keys, each side proves its own and knows the other's",
      next: "name the file of trusted keys with --trust",
    })
  }
  return {
    identity: identity === undefined ? makeIdentity(defaultIdentityFile()) : readIdentity(identity),
    trust: openTrustFile(trust),
    ...(secretFile === undefined ? {} : { secret: readSecret(secretFile) }),
  }
}
