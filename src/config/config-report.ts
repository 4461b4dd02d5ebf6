import type { KvErrorRecord } from "../errors/kv-error.ts"
import { type EnvironmentWarning, environmentWarnings, problemsFor } from "./environment-warnings.ts"
import { everyVariable } from "./every-variable.ts"
import { fabricEnvironment } from "./fabric-environment.ts"
import { fatalVariables, ownFabricVariables } from "./prepare-fabric-environment.ts"
import type { RdmaSettings, SettingKey } from "./rdma-settings.ts"
import { type OptionTexts, type Origin, resolveRdma } from "./resolve-rdma.ts"
import { settingRows } from "./setting-rows.ts"
import { type Environment, textOf, type VariableUse } from "./variable.ts"

/** The document that `kvferry config show --json` prints. */
export interface ConfigReport {
  readonly schema: "kvferry/config/1"
  /** The paths for which it was judged what reads a variable. */
  readonly paths: readonly string[]
  readonly settings: readonly ShownSetting[]
  /** The environment of libfabric and rdma-core, row by row. */
  readonly fabric: readonly ShownFabricVariable[]
  /** Variables of other programs that are set here, and what each does. Their values are not repeated. */
  readonly variables: readonly ShownVariable[]
  readonly warnings: readonly EnvironmentWarning[]
  /** Texts that could not be read: a process with these paths does not start with any of them. */
  readonly problems: readonly KvErrorRecord[]
}

/** One setting with where it came from. */
export interface ShownSetting {
  readonly name: string
  /** Null where the transport chooses; `absent` says how. */
  readonly value: RdmaSettings[SettingKey] | null
  readonly absent?: string
  readonly origin: Origin
  readonly option?: string
  readonly variable: string
  readonly others: readonly string[]
  readonly meaning: string
}

/** One variable of libfabric or rdma-core. */
export interface ShownFabricVariable {
  readonly name: string
  /** What it is set to in this environment; null when it is not. */
  readonly value: string | null
  readonly recommended: string | null
  /** What this program sets it to before it opens libfabric; null when it leaves it. */
  readonly set: string | null
  readonly reason: string
  readonly source: string
}

/** One variable of another program that is set. */
export interface ShownVariable {
  readonly name: string
  readonly of: string
  readonly use: VariableUse
  readonly meaning: string
}

/** The configuration of RDMA in one environment, as it would be used with these paths and options. */
export function configReport(
  env: Environment,
  { paths, options }: { readonly paths: readonly string[]; readonly options: OptionTexts },
): ConfigReport {
  const resolved = resolveRdma(env, options)
  const own = new Map(ownFabricVariables(env, resolved.settings).map(({ name, value }) => [name, value]))
  const fatal = paths.includes("libfabric") ? fatalVariables(env) : []
  return {
    schema: "kvferry/config/1",
    paths,
    settings: settingRows.map(({ option, variable, others, meaning, absent, key }) => {
      const { value, origin } = resolved.rows.find((row) => row.key === key)!
      return {
        name: settingName(key),
        value: value ?? null,
        ...(absent === undefined ? {} : { absent }),
        origin,
        ...(option === undefined ? {} : { option: `--${option}` }),
        variable,
        others: others.map(({ name }) => name),
        meaning,
      }
    }),
    fabric: fabricEnvironment.map(({ name, recommended, reason, source }) => ({
      name,
      value: env[name] ?? null,
      recommended: recommended ?? null,
      set: own.get(name) ?? null,
      reason,
      source,
    })),
    variables: everyVariable.flatMap(({ name, of, use, meaning }) =>
      textOf(env, name) === undefined ? [] : [{ name, of, use, meaning }],
    ),
    warnings: environmentWarnings(env, paths, resolved),
    problems: [...problemsFor(resolved, paths).map(({ error }) => error), ...fatal].map((error) =>
      error.toJSON(),
    ),
  }
}

/** `sliceBytes` as people read it: `slice-bytes`. */
export const settingName = (key: string): string =>
  key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
