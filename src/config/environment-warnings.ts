import { everyVariable } from "./every-variable.ts"
import { fabricNames, otherProviders } from "./fabric-names.ts"
import { nearestName } from "./nearest-name.ts"
import { ownVariables } from "./own-variables.ts"
import type { SettingKey } from "./rdma-settings.ts"
import type { Problem, ResolvedRdma } from "./resolve-rdma.ts"
import { settingRows } from "./setting-rows.ts"
import { type Environment, type Library, textOf, type Variable } from "./variable.ts"

/** A variable that is set and does not do what its setter may think. Its value is never repeated: it may be a secret. */
export interface EnvironmentWarning {
  readonly name: string
  readonly text: string
}

/** The libraries that each path opens. */
const librariesOfPath: ReadonlyMap<string, readonly Library[]> = new Map([
  ["verbs", ["libibverbs"]],
  ["libfabric", ["libfabric", "libibverbs"]],
  ["nixl", ["NIXL", "UCX", "libfabric", "libibverbs"]],
])

/** Whether any of these paths moves bytes by RDMA, or through a library that may. */
export const usesRdma = (paths: readonly string[]): boolean => paths.some((path) => librariesOfPath.has(path))

/** The texts that a process with these paths does not start with: in another program's variable, it may ignore them. */
export const problemsFor = ({ problems }: ResolvedRdma, paths: readonly string[]): Problem[] =>
  problems.filter(({ foreign }) => !foreign || usesRdma(paths))

/** Warnings that are told; more are counted. An environment is the world's, and may hold anything. */
const warningsMax = 40

const known: ReadonlyMap<string, Variable> = new Map(
  everyVariable.map((variable) => [variable.name, variable]),
)

/**
 * Every variable that is set and that nothing reads, or that gave way to another one, in the order of their names.
 *
 * @param paths the paths that this process may use: a library that no path opens reads nothing.
 */
export function environmentWarnings(
  env: Environment,
  paths: readonly string[],
  { rows }: Pick<ResolvedRdma, "rows">,
): EnvironmentWarning[] {
  const opened = new Set(paths.flatMap((path) => librariesOfPath.get(path) ?? []))
  const givesWay = new Map(rows.flatMap(({ overridden, origin }) => overridden.map((name) => [name, origin])))
  const warnings: EnvironmentWarning[] = []
  for (const name of Object.keys(env).sort()) {
    if (textOf(env, name) === undefined) continue
    const origin = givesWay.get(name)
    const text =
      origin?.from === "environment"
        ? `${origin.name} is set to something else and goes before it`
        : unheard(name, opened, paths)
    if (text !== undefined) warnings.push({ name, text })
  }
  const more = warnings.length - warningsMax
  if (more <= 0) return warnings
  const rest = { name: "…", text: `${more} more variables of this kind are set` }
  return [...warnings.slice(0, warningsMax), rest]
}

function unheard(name: string, opened: ReadonlySet<Library>, paths: readonly string[]): string | undefined {
  const variable = known.get(name)
  if (variable !== undefined) return unheardOf(variable, opened, paths)
  if (name.startsWith("FI_")) return unheardFabric(name, opened)
  if (name.startsWith("NIXL_")) return throughLibrary("NIXL", opened)
  if (name.startsWith("UCX_")) return throughLibrary("UCX", opened)
  if (name.startsWith("KVFERRY_"))
    return ownVariables.includes(name) ? undefined : misspelt(name, ownVariables, "kvferry")
  if (name.startsWith("MC_")) return misspelt(name, [...known.keys()], "Mooncake")
  return undefined
}

function unheardOf(
  { use, of, name }: Variable,
  opened: ReadonlySet<Library>,
  paths: readonly string[],
): string | undefined {
  if (use.kind === "library") return throughLibrary(use.library, opened)
  if (use.kind === "honoured") return unused(use.setting, paths)
  if (of === "nobody")
    return `nothing reads it${use.instead === undefined ? "" : `: ${use.instead} is meant`}`
  const instead = use.instead === undefined ? "" : `; ${use.instead} does that here`
  return name.startsWith("FI_")
    ? "nothing reads it any more"
    : `it is ${of}'s and has no effect here${instead}`
}

/** What is honoured means something to some paths only. */
function unused(setting: SettingKey, paths: readonly string[]): string | undefined {
  const users = settingRows.find(({ key }) => key === setting)?.paths ?? []
  if (users.some((user) => paths.includes(user))) return undefined
  return `it means something to ${users.join(" and ")} only, and no path of this process is one of these`
}

/** A library warns of what it does not know, or does not; that it is never opened, only we can say. */
const throughLibrary = (library: Library, opened: ReadonlySet<Library>): string | undefined =>
  opened.has(library) ? undefined : `only ${library} reads it, and no path of this process opens ${library}`

function unheardFabric(name: string, opened: ReadonlySet<Library>): string | undefined {
  if (fabricNames.has(name) || otherProviders.some((start) => name.startsWith(start))) {
    return throughLibrary("libfabric", opened)
  }
  return misspelt(name, [...fabricNames], "libfabric") ?? "libfabric has no such variable"
}

/** Only a near miss is told of a prefix that other programs use as well. */
function misspelt(name: string, names: readonly string[], of: string): string | undefined {
  const near = nearestName(name, names)
  return near === undefined ? undefined : `${of} has no such variable; ${near} may be meant`
}
