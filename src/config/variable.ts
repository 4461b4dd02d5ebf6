import type { SettingKey } from "./rdma-settings.ts"

/** Libraries that a path opens, and that read variables of their own. */
export type Library = "libibverbs" | "libfabric" | "NIXL" | "UCX"

/**
 * What a variable of somebody else's does here.
 *
 * - `honoured`: it fills a setting of ours, where no option and no variable of ours says otherwise.
 * - `library`: the library reads it itself, when a path opens that library.
 * - `nothing`: nothing here reads it; `instead` says what has its meaning, where something does.
 */
export type VariableUse =
  | { readonly kind: "honoured"; readonly setting: SettingKey }
  | { readonly kind: "library"; readonly library: Library }
  | { readonly kind: "nothing"; readonly instead?: string }

/** One environment variable of another program. */
export interface Variable {
  readonly name: string
  /** Who reads it where it comes from. */
  readonly of: "Mooncake" | "NCCL" | "NIXL" | "libfabric" | "rdma-core" | "UCX" | "nobody"
  readonly use: VariableUse
  /** What it means, there and here. */
  readonly meaning: string
  /** The file of its own program that reads it. */
  readonly source: string
}

/** A part of the environment: only names and texts are ever looked at. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The text of a variable; undefined where it is absent or empty, which programs that are started by others write alike. */
export function textOf(env: Environment, name: string): string | undefined {
  const text = env[name]
  return text === undefined || text.trim() === "" ? undefined : text
}

/** Shorthands for the tables. */
export const honoured = (setting: SettingKey): VariableUse => ({ kind: "honoured", setting })
export const readBy = (library: Library): VariableUse => ({ kind: "library", library })
export const unread = (instead?: string): VariableUse => ({
  kind: "nothing",
  ...(instead === undefined ? {} : { instead }),
})
