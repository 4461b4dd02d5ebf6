import { statSync } from "node:fs"
import type { TrustEntry, TrustList } from "../agent/credentials.ts"
import { KvError } from "../errors/kv-error.ts"
import { type FileRules, readGuardedFile } from "./private-file.ts"
import { parseTrust, trustLimits } from "./trust-text.ts"

const rules: FileRules = {
  what: "the trust file",
  forbidden: { mode: 0o022, why: "others on this machine can write themselves in", cure: "chmod go-w" },
  bytesMax: trustLimits.bytes,
  next: "name a readable file with --trust or KVFERRY_TRUST",
}

/** A file that changed so lately may change again without another time stamp. Milliseconds. */
const freshMillis = 2000

/**
 * Opens a trust file; see `parseTrust` for its text. Each question looks whether the file has changed, so that a key
 * can be added or withdrawn while agents run. A file that has become unreadable or wrong lets nobody in.
 * @throws KvError KV_USAGE when it cannot be read, others may write it, or a line of it is wrong.
 */
export function openTrustFile(path: string): TrustList {
  let known = read(path)
  return {
    source: path,
    find(publicKey) {
      if (known.stamp === undefined || stampOf(path) !== known.stamp) known = read(path)
      return known.entries.get(publicKey)
    },
  }
}

interface Reading {
  readonly entries: ReadonlyMap<string, TrustEntry>
  /** Which file this was; undefined when it must be read again. */
  readonly stamp: string | undefined
}

function read(path: string): Reading {
  // Before the content: a change in between is seen at the next question.
  const stamp = stampOf(path)
  const bytes = readGuardedFile(path, rules)
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return { entries: parseTrust(text, path), stamp }
  } catch (thrown) {
    if (thrown instanceof KvError) throw thrown
    throw new KvError("KV_USAGE", { what: `the trust file ${path} is not UTF-8`, cause: thrown })
  }
}

/** What changes whenever the file does; undefined when that cannot be told. */
function stampOf(path: string): string | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (stat === undefined) return undefined
  const changedMillis = Number(stat.ctimeNs / 1_000_000n)
  if (Math.abs(Date.now() - changedMillis) < freshMillis) return undefined
  return [stat.dev, stat.ino, stat.size, stat.mode, stat.mtimeNs, stat.ctimeNs].join(" ")
}
