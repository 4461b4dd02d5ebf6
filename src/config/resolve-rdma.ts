import { KvError } from "../errors/kv-error.ts"
import { defaultRdmaSettings, type RdmaSettings, type SettingKey } from "./rdma-settings.ts"
import { type SettingRow, settingRows } from "./setting-rows.ts"
import { Unfit } from "./value-readers.ts"
import { type Environment, textOf } from "./variable.ts"

/** Where a value came from. */
export type Origin =
  | { readonly from: "default" }
  | { readonly from: "environment"; readonly name: string }
  | { readonly from: "option"; readonly name: string }

/** One setting with its value, undefined where the choice is the transport's, and its origin. */
export interface ResolvedSetting {
  readonly key: SettingKey
  readonly value: RdmaSettings[SettingKey]
  readonly origin: Origin
  /** Variables that are set as well, to something else, and gave way. */
  readonly overridden: readonly string[]
}

/** A text that could not be read; the setting keeps its default. */
export interface Problem {
  readonly error: KvError
  /** It stood in a variable of another program: whoever uses no RDMA need not care. */
  readonly foreign: boolean
}

/** All settings of RDMA as they came about. */
export interface ResolvedRdma {
  readonly settings: RdmaSettings
  readonly rows: readonly ResolvedSetting[]
  readonly problems: readonly Problem[]
}

/** Texts of options, by their names without dashes. */
export type OptionTexts = Readonly<Record<string, string | undefined>>

/**
 * Settles each setting: an option goes before our own variable, that before another program's, and that before the
 * default. Only the text that counts is read.
 */
export function resolveRdma(env: Environment, options: OptionTexts = {}): ResolvedRdma {
  const settled = settingRows.map((row) => settle(row, env, options))
  const values = settled.flatMap(({ row: { key, value } }) => (value === undefined ? [] : [[key, value]]))
  // Each value was read by the reader of its own key.
  const settings = Object.fromEntries([...values, ["origins", originsOf(settled)]]) as unknown as RdmaSettings
  const unread = settled.flatMap(({ problem }) => (problem === undefined ? [] : [problem]))
  return { settings, rows: settled.map(({ row }) => row), problems: [...unread, ...contradictions(settings)] }
}

function originsOf(settled: readonly { readonly row: ResolvedSetting }[]): RdmaSettings["origins"] {
  return Object.fromEntries(
    settled.flatMap(({ row: { key, origin } }) => (origin.from === "default" ? [] : [[key, origin.name]])),
  )
}

function contradictions({ devices, excludedDevices, railWeights }: RdmaSettings): Problem[] {
  if (devices === undefined) return []
  const stranger = railWeights?.find(({ device }) => !devices.includes(device))?.device
  const none = devices.every((device) => excludedDevices.includes(device))
  return [
    ...(stranger === undefined
      ? []
      : [
          contradiction(
            `there is a weight for ${stranger}`,
            `it is not among the devices ${devices.join(", ")}`,
          ),
        ]),
    ...(none
      ? [contradiction(`every one of the devices ${devices.join(", ")} is excluded`, "no NIC is left")]
      : []),
  ]
}

const contradiction = (what: string, why: string): Problem => ({
  error: new KvError("KV_USAGE", {
    what,
    why,
    next: "kvferry config show --origin tells where each came from",
  }),
  foreign: false,
})

type AnyRow = Pick<SettingRow, "key" | "option" | "variable" | "others" | "read">
type AnyValue = RdmaSettings[SettingKey]

interface Candidate {
  readonly text: string
  readonly origin: Origin
  readonly foreign: boolean
  readonly read: (text: string) => AnyValue
}

function settle(
  row: (typeof settingRows)[number],
  env: Environment,
  options: OptionTexts,
): { readonly row: ResolvedSetting; readonly problem?: Problem } {
  const { key } = row
  const [taken, ...others] = candidates(row, env, options)
  const unchanged = {
    key,
    value: defaultRdmaSettings[key],
    origin: { from: "default" } as const,
    overridden: [],
  }
  if (taken === undefined) return { row: unchanged }
  const overridden = others.flatMap(({ text, origin }) =>
    origin.from === "environment" && taken.origin.from === "environment" && text.trim() !== taken.text.trim()
      ? [origin.name]
      : [],
  )
  try {
    const value = taken.read(taken.text)
    if (value === undefined) return { row: { ...unchanged, overridden } }
    return { row: { key, value, origin: taken.origin, overridden } }
  } catch (thrown) {
    if (!(thrown instanceof Unfit)) throw thrown
    return { row: unchanged, problem: { error: unreadable(taken, thrown, row), foreign: taken.foreign } }
  }
}

function candidates(row: AnyRow, env: Environment, options: OptionTexts): Candidate[] {
  const found: Candidate[] = []
  const option = row.option === undefined ? undefined : options[row.option]
  if (option !== undefined) {
    const origin = { from: "option", name: `--${row.option}` } as const
    found.push({ text: option, origin, foreign: false, read: row.read })
  }
  for (const { name, read } of [{ name: row.variable, read: row.read }, ...row.others]) {
    const text = textOf(env, name)
    if (text === undefined) continue
    found.push({ text, origin: { from: "environment", name }, foreign: name !== row.variable, read })
  }
  return found
}

function unreadable({ text, origin }: Candidate, { message }: Unfit, row: AnyRow): KvError {
  const name = origin.from === "default" ? row.key : origin.name
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 59)}…` : text)
  const ours = row.option === undefined ? row.variable : `--${row.option}`
  return new KvError("KV_USAGE", {
    what: `${name} is ${shown}`,
    why: `it must be ${message}`,
    next:
      origin.from === "environment" && name !== row.variable
        ? `correct it or unset it; ${ours} goes before it`
        : `correct it, or leave it out`,
  })
}
