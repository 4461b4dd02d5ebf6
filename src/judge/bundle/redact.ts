import { isIP } from "node:net"
import { plainLog } from "../../terminal/plain-log.ts"
import { type Secret, secretCharsMin, secretForms, secretName, secretValues } from "./secrets.ts"

/** What is known of whoever runs this, and must not leave the machine. */
export interface Owner {
  readonly env: NodeJS.ProcessEnv
  readonly home: string
  readonly user: string
  /** This machine's name first, then those of others that the user gave. */
  readonly hosts: readonly string[]
  /** Secrets that stand in no environment. */
  readonly secrets?: readonly Secret[]
}

/** How often something of a kind was replaced. */
export type RedactionCounts = Readonly<Record<string, number>>

/** Accounts that everybody has: they name nobody, and they are words of logs. */
const commonUsers = new Set([
  "root",
  "node",
  "user",
  "admin",
  "ubuntu",
  "debian",
  "ec2-user",
  "runner",
  "nobody",
  "kvferry",
])

/**
 * Takes out of texts what names a person, a machine or a network, and what opens doors.
 *
 * A name or an address becomes the same placeholder everywhere, so that a reader still sees which two are one.
 * Loopback and wildcard addresses stay: they name nobody.
 */
export class Redactor {
  readonly #secrets: readonly string[]
  readonly #home: string
  readonly #names: readonly { readonly kind: string; readonly pattern: RegExp }[]
  readonly #known = new Map<string, string>()
  readonly #counts = new Map<string, number>()

  constructor({ env, home, user, hosts, secrets = [] }: Owner) {
    this.#secrets = secretValues(env, secrets)
    this.#home = home
    const hostNames = hosts.flatMap((host) => [host, host.split(".")[0]!]).filter((host) => isName(host))
    const people = [user, home.split("/").at(-1) ?? ""].filter(
      (name) => isName(name) && !commonUsers.has(name),
    )
    this.#names = [
      ...[...new Set(hostNames)]
        .filter((host) => isIP(host) === 0 && host !== "localhost")
        .map((host) => ({ kind: "host", pattern: wordPattern(host, "(?:\\.[\\w-]+)*") })),
      ...[...new Set(people)].map((name) => ({ kind: "user", pattern: wordPattern(name, "") })),
    ]
    // This machine is host-1, whoever is met first.
    for (const host of hosts.slice(0, 1)) this.#placeholder("host", host.split(".")[0]!)
  }

  /** How much was replaced so far, by kind. */
  get counts(): RedactionCounts {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  text(text: string): string {
    // A colour in the middle of a word would hide it.
    let out = text.includes("\u001b") ? plainLog(text) : text
    for (const secret of this.#secrets) out = this.#replaced(out, "secret", secret)
    out = this.#withoutCut(out)
    for (const form of secretForms) out = out.replace(form, () => this.#count("secret", "<redacted>"))
    if (this.#home.length > 1) {
      out = out.replace(new RegExp(`${escaped(this.#home)}(?![\\w-])`, "g"), () =>
        this.#count("home folder", "~"),
      )
    }
    out = out.replace(/(?<=\/(?:home|Users)\/)[^/\s"':]+/g, (name) => this.#named("user", name))
    out = out.replace(/[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b/gi, (mail) => this.#named("mail", mail))
    out = this.#addresses(out)
    for (const { kind, pattern } of this.#names) {
      out = out.replace(pattern, (name) => this.#named(kind, kind === "host" ? name.split(".")[0]! : name))
    }
    return out.replace(privateHost, (name) => this.#named("host", name.split(".")[0]!))
  }

  /** The same for every text in a value that becomes JSON, its keys included; a key that names a secret hides its value. */
  value<T>(value: T): T {
    return this.#walk(value) as T
  }

  #walk(value: unknown): unknown {
    if (typeof value === "string") return this.text(value)
    if (Array.isArray(value)) return value.map((one) => this.#walk(one))
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [
        this.text(key),
        secretName.test(key) && typeof one === "string"
          ? this.#count("secret", "<redacted>")
          : this.#walk(one),
      ]),
    )
  }

  #addresses(text: string): string {
    return text
      .replace(/(?<![0-9a-fA-F:])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![0-9a-fA-F:])/g, (mac) =>
        this.#named("mac", mac),
      )
      .replace(/(?<![0-9a-fA-F:])[0-9a-fA-F]{4}(?::[0-9a-fA-F]{4}){3}(?![0-9a-fA-F:])/g, (guid) =>
        this.#named("guid", guid),
      )
      .replace(/(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)/g, (ip) => this.#address(ip))
      .replace(
        /(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}(?:[0-9a-fA-F]{0,4}|ip-\d+|\d+\.\d+\.\d+\.\d+)(?![\w:])/g,
        (ip) => this.#address(ip),
      )
      .replace(/\bip-\d{1,3}(?:-\d{1,3}){3}\b/g, (name) => this.#named("host", name))
  }

  #address(text: string): string {
    if (isIP(text) === 0) return /ip-\d+$/.test(text) ? this.#named("ip", text) : text
    return /^(127\.|0\.0\.0\.0$|255\.255\.255\.255$|::1?$)/.test(text) ? text : this.#named("ip", text)
  }

  #replaced(text: string, kind: string, wanted: string): string {
    if (!text.includes(wanted)) return text
    return text.split(wanted).reduce((out, part) => `${out}${this.#count(kind, "<redacted>")}${part}`)
  }

  /** At the end of a text that was cut, or at the beginning of one, may stand a part of a secret. */
  #withoutCut(text: string): string {
    const parts = text.split(ellipsis)
    const cut = parts.map((part, i) => {
      const end = i === parts.length - 1 ? 0 : this.#longest((secret) => endLike(part, secret))
      const kept = end === 0 ? part : `${part.slice(0, -end)}${this.#count("secret", "<redacted>")}`
      const start = i === 0 ? 0 : this.#longest((secret) => startLike(kept, secret))
      return start === 0 ? kept : `${this.#count("secret", "<redacted>")}${kept.slice(start)}`
    })
    return cut.join(ellipsis)
  }

  #longest(lengthOf: (secret: string) => number): number {
    return Math.max(0, ...this.#secrets.map(lengthOf))
  }

  #named(kind: string, name: string): string {
    return this.#count(kind, this.#placeholder(kind, name))
  }

  #placeholder(kind: string, name: string): string {
    if (new RegExp(`^${kind}-\\d+$`).test(name)) return name
    const key = `${kind} ${name.toLowerCase()}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const number = [...this.#known.keys()].filter((one) => one.startsWith(`${kind} `)).length + 1
    this.#known.set(key, `${kind}-${number}`)
    return `${kind}-${number}`
  }

  #count(kind: string, text: string): string {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1)
    return text
  }
}

/** What our own texts have where they were cut. */
const ellipsis = "…"

/** Characters of the longest beginning of a secret that a text ends with; 0 where that tells nothing. */
function endLike(text: string, secret: string): number {
  const most = Math.min(text.length, secret.length - 1)
  for (let length = most; length >= secretCharsMin; length--)
    if (text.endsWith(secret.slice(0, length))) return length
  return 0
}

/** Characters of the longest end of a secret that a text starts with. */
function startLike(text: string, secret: string): number {
  const most = Math.min(text.length, secret.length - 1)
  for (let length = most; length >= secretCharsMin; length--)
    if (text.startsWith(secret.slice(-length))) return length
  return 0
}

/** Names that only mean something inside of somebody's network. */
const privateHost =
  /\b[a-z0-9][\w-]*(?:\.[\w-]+)*\.(?:internal|local|localdomain|lan|corp|intra|intranet|home)\b/gi

const isName = (text: string): boolean => text.length >= 2 && /[^\d.]/.test(text)
const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
const wordPattern = (word: string, tail: string): RegExp =>
  new RegExp(`(?<![\\w-])${escaped(word)}${tail}(?![\\w-])`, "gi")
