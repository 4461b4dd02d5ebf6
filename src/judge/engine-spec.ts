import { KvError } from "../errors/kv-error.ts"
import { checkKvferryPath, enginePaths } from "./kvferry-paths.ts"
import { spelled } from "./peers/peer-paths.ts"
import { peerFamilies } from "./peers/peer-spec.ts"

/** Engines that the judge can drive. */
export const engineFamilies = ["kvferry", ...peerFamilies] as const
export type EngineFamily = (typeof engineFamilies)[number]

/** An engine as a user names it: `kvferry`, `kvferry:tcp`, `nixl:UCX`, `nixl==0.6.1:LIBFABRIC`, `mooncake:tcp`. */
export interface EngineSpec {
  /** As it was written, but for its letters' case: the name of its column in every table. */
  readonly name: string
  readonly family: EngineFamily
  /** The version that must be installed; the newest installed one when absent. */
  readonly version?: string
  /** Path or backend; the engine's default when absent. */
  readonly path?: string
}

const form = /^([A-Za-z]+)(?:==([0-9][0-9A-Za-z.+-]*))?(?::([0-9A-Za-z_;-]+))?$/

/**
 * Names and paths may be in any case, and come out as their engine spells them.
 * @throws KvError KV_USAGE with the forms that are understood.
 */
export function parseEngineSpec(text: string): EngineSpec {
  const [, family, version, asked] = form.exec(text) ?? []
  const known = engineFamilies.find((one) => one === family?.toLowerCase())
  if (known === undefined || (known === "kvferry" && version !== undefined)) {
    throw new KvError("KV_USAGE", {
      what: `${JSON.stringify(text.slice(0, 80))} is no engine`,
      why: "an engine is written NAME, NAME:PATH or NAME==VERSION:PATH; kvferry has no VERSION",
      next: "name kvferry, kvferry:tcp, nixl:UCX, nixl==0.6.1:LIBFABRIC or mooncake:tcp, say",
    })
  }
  const path = known === "kvferry" ? asked?.toLowerCase() : spelled(known, asked)
  if (known === "kvferry" && path !== undefined) checkKvferryPath(path, text, enginePaths)
  return {
    name: `${known}${version === undefined ? "" : `==${version}`}${path === undefined ? "" : `:${path}`}`,
    family: known,
    ...(version === undefined ? {} : { version }),
    ...(path === undefined ? {} : { path }),
  }
}
