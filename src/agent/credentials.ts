import { KvError } from "../errors/kv-error.ts"
import type { Rights } from "../transport/transport.ts"
import type { CredentialKind } from "../wire/handshake-messages.ts"

/** Fewer bytes of a secret can be guessed. */
export const secretBytesMin = 16

/**
 * What an agent authenticates with: the cluster's secret, or an identity and a list of trusted keys, or all of them.
 *
 * With both, a peer must prove both. `checkCredentials` says whether a set makes sense.
 */
export interface Credentials {
  /** At least 16 bytes that all agents of a cluster share. */
  readonly secret?: Uint8Array
  /** This agent's own key pair. */
  readonly identity?: Identity
  /** Keys of the peers that are let in. */
  readonly trust?: TrustList
}

/** An Ed25519 key pair that signs and never shows its private half. */
export interface Identity {
  /** `ed25519:BASE64URL`. */
  readonly publicKey: string
  /** The signature over `message`, 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}

/** The keys that are let in, as they stand at the moment of the question. */
export interface TrustList {
  /** Where the list stands, for messages to this side's own people: a file's name. */
  readonly source: string
  /** @throws KvError KV_USAGE when the list cannot be read any more: then nobody is let in. */
  find(publicKey: string): TrustEntry | undefined
}

/** One trusted key, and what its holder may do. */
export interface TrustEntry {
  readonly publicKey: string
  /** What the operator calls it: letters, digits, dots, dashes. */
  readonly name?: string
  readonly may: Rights
  /** Names of the caches whose regions it may reach; all of them when left out. */
  readonly regions?: readonly string[]
  /** Wall-clock milliseconds since 1970 from which the entry counts no more. */
  readonly until?: number
}

/** Who the peer of a handshake turned out to be, and the most that it may do here. */
export interface AuthenticatedPeer {
  readonly how: CredentialKind
  /** Its key, when it proved one. */
  readonly publicKey?: string
  /** The operator's name for that key. Never the peer's own words. */
  readonly name?: string
  /** What the trust list allows; the agent's own policy may allow less. A secret alone allows all that the policy does. */
  readonly rights: Rights
  readonly regions?: readonly string[]
  /** Wall-clock milliseconds since 1970 from which it is trusted no more. */
  readonly until?: number
}

/**
 * The kind of a set of credentials.
 * @throws KvError KV_USAGE for a short secret, an identity without trusted keys or the other way round, or nothing.
 */
export function checkCredentials({ secret, identity, trust }: Credentials): CredentialKind {
  if (secret !== undefined && secret.byteLength < secretBytesMin) {
    throw new KvError("KV_USAGE", {
      what: `the cluster's secret has ${secret.byteLength} bytes`,
      why: `fewer than ${secretBytesMin} can be guessed`,
      next: "make one with: head -c 32 /dev/urandom | base64",
    })
  }
  if ((identity === undefined) !== (trust === undefined)) {
    throw new KvError("KV_USAGE", {
      what: identity === undefined ? "trusted keys without an identity" : "an identity without trusted keys",
      why: "with keys, each side proves its own and knows the other's",
      next: "give both: an identity, and the list of keys that it trusts",
    })
  }
  if (identity !== undefined) return secret === undefined ? "key" : "both"
  if (secret !== undefined) return "secret"
  throw new KvError("KV_USAGE", {
    what: "an agent without credentials",
    why: "nobody is let in without a key",
    next: "give it a secret, or an identity and a list of trusted keys",
  })
}
