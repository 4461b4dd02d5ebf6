import { defaultRdmaSettings, type RdmaSettings } from "../../config/rdma-settings.ts"
import { KvError } from "../../errors/kv-error.ts"
import { type IntegrityLevel, integrityLevels } from "../../receipt/receipt.ts"
import { rdmaConfig } from "../../serve/rdma-config.ts"
import { defaultPaths } from "../../serve/transports.ts"
import type { Encryption } from "../../transport/tcp/tcp.ts"
import type { Questions } from "../driver/protocol.ts"
import { providerPaths } from "../kvferry-paths.ts"

/** What an agent under judgement is opened with. */
export interface DriverOptions {
  readonly paths: readonly string[]
  /** The name under which the one path was asked for: "libfabric-tcp" is libfabric with that provider. */
  readonly pathName: string | undefined
  /** The path that was asked for; nothing may take its place. */
  readonly required: readonly string[] | undefined
  readonly rdma: RdmaSettings
  readonly rails: number
  /** Numeric address to listen on. */
  readonly host: string
  /** What is used where a transfer names none. */
  readonly integrity: IntegrityLevel | undefined
  /** What no transfer goes below. */
  readonly floor: IntegrityLevel | undefined
  readonly encryption: Encryption
  /** Threads that copy and hash; kvferry's own choice when absent. */
  readonly threads: number | undefined
  /** Time that what is lent waits to be claimed. */
  readonly leaseMillis: number
  /** Time without a sign of life after which what is held is taken back. */
  readonly holdMillis: number | undefined
  /** Reads claim and give back with each post, in one ticket. */
  readonly pull: boolean
}

const leaseMillisDefault = 600_000
const known = [
  "host",
  "integrity",
  "floor",
  "encryption",
  "threads",
  "leaseMillis",
  "holdMillis",
  "pull",
  "paths",
] as const

/** Reads the options of `open`. @throws KvError KV_USAGE for one that is unknown or makes no sense. */
export function driverOptions({ path, rails, options }: Questions["open"]): DriverOptions {
  const unknown = Object.keys(options).find((name) => !known.some((one) => one === name))
  if (unknown !== undefined) throw wrong(unknown, `one of ${known.join(", ")}`)
  const provider = path === undefined ? undefined : providerPaths[path]
  const one = provider === undefined ? path : "libfabric"
  const paths = one === undefined ? pathList(options["paths"]) : [one]
  const { settings } = rdmaConfig(paths, {})
  return {
    paths,
    pathName: path,
    required: one === undefined ? undefined : [one],
    rdma: provider === undefined ? settings : { ...settings, fabricProviders: [provider] },
    rails: rails ?? 1,
    host: text(options["host"] ?? "127.0.0.1", "host"),
    integrity: level(options["integrity"], "integrity"),
    floor: level(options["floor"], "floor"),
    encryption: oneOf(options["encryption"] ?? "none", "encryption", ["none", "tls"] as const),
    threads: options["threads"] === undefined ? undefined : whole(options["threads"], "threads"),
    leaseMillis: whole(options["leaseMillis"] ?? leaseMillisDefault, "leaseMillis"),
    holdMillis: options["holdMillis"] === undefined ? undefined : whole(options["holdMillis"], "holdMillis"),
    pull: options["pull"] === true || options["pull"] === "true",
  }
}

/** The settings that differ from the defaults of a process that was told nothing. */
export function ownRdma(rdma: RdmaSettings): Partial<Omit<RdmaSettings, "origins">> {
  const { fabricProviders } = rdma
  return fabricProviders.join() === defaultRdmaSettings.fabricProviders.join() ? {} : { fabricProviders }
}

/** @throws KvError KV_USAGE. */
export function integrityOf(text: string | undefined, fallback: IntegrityLevel): IntegrityLevel {
  return text === undefined ? fallback : oneOf(text, "integrity", integrityLevels)
}

const level = (value: unknown, name: string): IntegrityLevel | undefined =>
  value === undefined ? undefined : oneOf(value, name, integrityLevels)

/** Allowed transports, best first, where the engine's name says none. */
function pathList(value: unknown): readonly string[] {
  return value === undefined ? defaultPaths : text(value, "paths").split(",")
}

function text(value: unknown, name: string): string {
  if (typeof value === "string") return value
  throw wrong(name, "a text")
}

function whole(value: unknown, name: string): number {
  const number = Number(value)
  if (Number.isSafeInteger(number) && number >= 1) return number
  throw wrong(name, "a whole number from 1")
}

function oneOf<Word extends string>(value: unknown, name: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value)
  if (found !== undefined) return found
  throw wrong(name, words.join(" or "))
}

function wrong(name: string, expected: string): KvError {
  return new KvError("KV_USAGE", {
    what: `the option ${JSON.stringify(name.slice(0, 40))} of kvferry's driver must be ${expected}`,
  })
}
