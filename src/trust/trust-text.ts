import type { TrustEntry } from "../agent/credentials.ts"
import { KvError } from "../errors/kv-error.ts"
import { parsePublicKey } from "../wire/public-key.ts"

/** What a trust file may hold at most. */
export const trustLimits = {
  bytes: 2 ** 20,
  entries: 4096,
  /** Characters of a line. */
  line: 1024,
  /** Characters of a name, of a peer or of a cache. */
  name: 64,
  /** Names after `regions=`. */
  regions: 16,
} as const

const plainName = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,${trustLimits.name - 1}}$`)
const form =
  "a line is: ed25519:KEY name=NAME may=read,write regions=NAME,NAME until=YYYY-MM-DDTHH:MM:SSZ # comment"

/**
 * Reads the text of a trust file: one key a line, with what its holder may do.
 *
 * After the key come words in any order, each once: `name=` what the operator calls it; `may=` `read`, `write`, both,
 * or `none` (only `read` when left out); `regions=` names of caches (all when left out); `until=` a moment in UTC from
 * which the line counts no more. Blank lines and what follows a `#` at the start of a word are passed over.
 *
 * @param source where the text is from, for messages.
 * @returns the entries by their keys.
 * @throws KvError KV_USAGE naming the line: nothing is guessed, and one bad line makes the whole file bad.
 */
export function parseTrust(text: string, source: string): ReadonlyMap<string, TrustEntry> {
  const entries = new Map<string, TrustEntry>()
  const lineOf = new Map<string, number>()
  for (const [index, line] of text.split("\n").entries()) {
    const number = index + 1
    try {
      const entry = parseLine(line)
      if (entry === undefined) continue
      const before = lineOf.get(entry.publicKey)
      if (before !== undefined) throw new Wrong(`the key is that of line ${before}`)
      if (entries.size >= trustLimits.entries)
        throw new Wrong(`there are more than ${trustLimits.entries} keys`)
      lineOf.set(entry.publicKey, number)
      entries.set(entry.publicKey, entry)
    } catch (thrown) {
      if (!(thrown instanceof Wrong)) throw thrown
      throw new KvError("KV_USAGE", { what: `${source}, line ${number}: ${thrown.message}`, next: form })
    }
  }
  return entries
}

/** Writes an entry as a line of a trust file. */
export function formatTrustLine({ publicKey, name, may, regions, until }: TrustEntry): string {
  const rights = (["read", "write"] as const).filter((right) => may[right])
  return [
    publicKey,
    ...(name === undefined ? [] : [`name=${name}`]),
    `may=${rights.join(",") || "none"}`,
    ...(regions === undefined ? [] : [`regions=${regions.join(",")}`]),
    ...(until === undefined ? [] : [`until=${new Date(until).toISOString().replace(".000Z", "Z")}`]),
  ].join(" ")
}

/** What is wrong with a line. */
class Wrong extends Error {}

function parseLine(line: string): TrustEntry | undefined {
  if (line.length > trustLimits.line) throw new Wrong(`it has more than ${trustLimits.line} characters`)
  const words = line
    .replace(/(^|[ \t])#.*$/, "")
    .split(/[ \t]+/)
    .filter((word) => word !== "")
  const [publicKey, ...rest] = words
  if (publicKey === undefined) return undefined
  if (parsePublicKey(publicKey) === undefined) throw new Wrong(`${quoted(publicKey)} is no public key`)
  const fields = new Map<string, string>()
  for (const word of rest) {
    const [, name, value] = /^(name|may|regions|until)=(.*)$/s.exec(word) ?? []
    if (name === undefined || value === undefined) throw new Wrong(`${quoted(word)} is not understood`)
    if (fields.has(name)) throw new Wrong(`${name}= is there twice`)
    fields.set(name, value)
  }
  const [name, may, regions, until] = ["name", "may", "regions", "until"].map((field) => fields.get(field))
  return {
    publicKey,
    ...(name === undefined ? {} : { name: plain(name) }),
    may: may === undefined ? { read: true, write: false } : parseRights(may),
    ...(regions === undefined ? {} : { regions: parseRegions(regions) }),
    ...(until === undefined ? {} : { until: parseMoment(until) }),
  }
}

function parseRights(text: string): TrustEntry["may"] {
  if (text === "none") return { read: false, write: false }
  const words = text.split(",")
  const known = words.every((word) => word === "read" || word === "write")
  if (!known || new Set(words).size !== words.length)
    throw new Wrong(`may=${quoted(text)} should be read, write, both with a comma, or none`)
  return { read: words.includes("read"), write: words.includes("write") }
}

function parseRegions(text: string): string[] {
  const names = text.split(",").map(plain)
  if (names.length > trustLimits.regions) throw new Wrong(`more than ${trustLimits.regions} names of regions`)
  if (new Set(names).size !== names.length) throw new Wrong("a name of regions= is there twice")
  return names
}

/** Only one spelling, in UTC: no local time, and no 30th of February that becomes a day of March. */
function parseMoment(text: string): number {
  const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(moment) || new Date(moment).toISOString() !== text.replace("Z", ".000Z"))
    throw new Wrong(`until=${quoted(text)} should be a moment in UTC like 2027-01-01T00:00:00Z`)
  return moment
}

function plain(name: string): string {
  if (plainName.test(name)) return name
  throw new Wrong(`${quoted(name)} is no name: letters, digits, dots, dashes, at most ${trustLimits.name}`)
}

/** A word of the file as a message may show it: shortened, and nothing in it but visible ASCII. */
const quoted = (word: string): string =>
  JSON.stringify(word.slice(0, 60)).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
