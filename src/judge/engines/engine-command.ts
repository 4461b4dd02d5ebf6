import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { softwareVersion } from "../../serve/version.ts"
import type { EngineSpec } from "../engine-spec.ts"
import { findPeer } from "../peers/find-peer.ts"
import { secretVariable } from "./secret-variable.ts"

/** How a driver of an engine is started. */
export interface EngineCommand {
  readonly spec: EngineSpec
  readonly command: string
  readonly args: readonly string[]
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>
  /** For people: what will be started. */
  readonly about: string
}

/** An engine that cannot be driven here, and why. */
export interface Unavailable {
  readonly unavailable: string
}

const secretBytes = 32
let ownSecret: string | undefined

const kvferryDriver = fileURLToPath(new URL("../kvferry-driver/driver-process.js", import.meta.url))

/** Finds out how an engine is started. Nothing is started yet. */
export async function engineCommand(spec: EngineSpec): Promise<EngineCommand | Unavailable> {
  switch (spec.family) {
    case "kvferry":
      return {
        spec,
        command: process.execPath,
        args: [kvferryDriver],
        env: { [secretVariable]: runSecret() },
        about: `kvferry ${softwareVersion()}${spec.path === undefined ? "" : ` over ${spec.path}`}`,
      }
    case "nixl":
    case "mooncake": {
      const peer = await findPeer(spec.family, spec.version, { path: spec.path })
      if ("unavailable" in peer) return peer
      const { python, args, env, about, path } = peer
      return { spec: path === undefined ? spec : { ...spec, path }, command: python, args, env, about }
    }
  }
}

/** What drivers of this run were given and nobody else may read. */
export const engineSecrets = (): readonly string[] => (ownSecret === undefined ? [] : [ownSecret])

/** One for each run of the judge: drivers of another run are strangers. */
function runSecret(): string {
  ownSecret ??= process.env[secretVariable] ?? randomBytes(secretBytes).toString("hex")
  return ownSecret
}
