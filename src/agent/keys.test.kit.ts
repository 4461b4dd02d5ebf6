import type { Credentials, Identity, TrustEntry, TrustList } from "./credentials.ts"
import { identityOfSeed } from "./key-pairs.ts"

/** Identities by name, the same in every run. */
export const identityNamed = (name: string): Identity => {
  const seed = new Uint8Array(32)
  new TextEncoder().encodeInto(name, seed)
  return identityOfSeed(seed)
}

/** A trust list in memory, which the test may change while it is in use. */
export class Trusted implements TrustList {
  readonly source = "the test's list"
  readonly entries = new Map<string, TrustEntry>()

  constructor(...names: string[]) {
    for (const name of names) this.add(name)
  }

  add(name: string, changes: Partial<TrustEntry> = {}): void {
    const { publicKey } = identityNamed(name)
    this.entries.set(publicKey, { publicKey, name, may: { read: true, write: false }, ...changes })
  }

  find(publicKey: string): TrustEntry | undefined {
    return this.entries.get(publicKey)
  }
}

/** Credentials of `name`, who trusts others. */
export const keysOf = (name: string, ...others: string[]): Credentials => ({
  identity: identityNamed(name),
  trust: new Trusted(...others),
})
