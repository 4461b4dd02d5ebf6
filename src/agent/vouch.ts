import { KvError } from "../errors/kv-error.ts"
import type { CredentialKind } from "../wire/handshake-messages.ts"
import { type AuthenticatedPeer, type Credentials, checkCredentials } from "./credentials.ts"
import { keyFingerprint } from "./key-pairs.ts"

/**
 * What a peer with this key may do now; without a key it is one that proved the secret.
 *
 * Asked in the handshake, and again at each grant, so that a key that was withdrawn gets no further.
 * @param who the peer in messages to this side's people.
 * @param wallMillis now, in milliseconds since 1970.
 * @throws KvError KV_PEER_UNTRUSTED when the key is not trusted, not any more, or the list cannot be read.
 */
export function vouchFor(
  credentials: Credentials,
  publicKey: string | undefined,
  who: string,
  wallMillis: number,
): AuthenticatedPeer {
  const { trust } = credentials
  const how = checkCredentials(credentials)
  if (trust === undefined) return { how, rights: { read: true, write: true } }
  if (publicKey === undefined)
    throw untrusted(`${who} showed no key`, `this side trusts keys from ${trust.source} only`)
  const entry = lookUp(trust, publicKey, who)
  const shown = `the key ${publicKey} (${keyFingerprint(publicKey)})`
  if (entry === undefined) {
    throw untrusted(
      `${who} showed ${shown}`,
      `${trust.source} does not list it`,
      `if it is the right one, add its line to ${trust.source}; \`kvferry identity\` prints it on that host`,
    )
  }
  if (entry.until !== undefined && entry.until <= wallMillis) {
    throw untrusted(
      `${who} showed ${shown}`,
      `its entry in ${trust.source} ended at ${new Date(entry.until).toISOString()}`,
      "give the entry a later time, if the key is still to be trusted",
    )
  }
  const { name, may, regions, until } = entry
  return {
    how,
    publicKey,
    rights: may,
    ...(name === undefined ? {} : { name }),
    ...(regions === undefined ? {} : { regions }),
    ...(until === undefined ? {} : { until }),
  }
}

/** This side's public key, when it has one. */
export const keyOf = ({ identity }: Credentials): string | undefined => identity?.publicKey

/** The two sides do not use the same kind of credential. Says what this side wants, for its own people. */
export function otherKind(who: string, offered: CredentialKind, credentials: Credentials): KvError {
  const shown = { secret: "a cluster secret", key: "a key", both: "a cluster secret and a key" }[offered]
  return untrusted(
    `this side trusts ${wanted(credentials)}; ${who} offered ${shown}`,
    undefined,
    "start both sides with the same kind: one secret file, or an identity and a trust file each",
  )
}

/** The peer's proof does not hold. */
export function badProof(who: string, credentials: Credentials): KvError {
  const kind = checkCredentials(credentials)
  const of = { secret: "the cluster's secret", key: "its key", both: "the cluster's secret and its key" }[
    kind
  ]
  return untrusted(
    `${who} gave no valid proof of ${of}`,
    kind === "key"
      ? "it does not hold that key, or what was said was changed on the way"
      : "it was started with another secret, or what was said was changed on the way",
    kind === "key" ? "check what is between the two hosts" : "start both with the same KVFERRY_SECRET_FILE",
  )
}

/** The peer does not trust us. Its reasons are in its own log; here is what it was shown. */
export function refusedUs(who: string, credentials: Credentials): KvError {
  const key = keyOf(credentials)
  const proof = credentials.secret === undefined ? "" : "proof of the cluster's secret"
  const shown = key === undefined ? "" : `key ${key} (${keyFingerprint(key)})`
  return untrusted(
    `${who} did not accept our ${[proof, shown].filter((text) => text !== "").join(" and our ")}`,
    undefined,
    key === undefined
      ? "start both with the same KVFERRY_SECRET_FILE; where the other side wants keys, name a trust file with --trust"
      : "check that the trust file of the other side lists this key, and that both sides use the same kind of credential",
  )
}

const wanted = ({ secret, trust }: Credentials): string => {
  if (trust === undefined) return "the cluster's secret only"
  return secret === undefined
    ? `keys from ${trust.source} only`
    : `keys from ${trust.source} together with the cluster's secret only`
}

function lookUp(trust: NonNullable<Credentials["trust"]>, publicKey: string, who: string) {
  try {
    return trust.find(publicKey)
  } catch (thrown) {
    if (!(thrown instanceof KvError)) throw thrown
    throw untrusted(`${who} was not let in`, `the list of trusted keys cannot be used: ${thrown.message}`)
  }
}

function untrusted(what: string, why?: string, next?: string): KvError {
  return new KvError("KV_PEER_UNTRUSTED", {
    what,
    ...(why === undefined ? {} : { why }),
    ...(next === undefined ? {} : { next }),
  })
}
