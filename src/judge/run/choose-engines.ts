import { KvError } from "../../errors/kv-error.ts"
import { findLibrary } from "../../os/find-library.ts"
import { type EngineSpec, parseEngineSpec } from "../engine-spec.ts"

/** More than that nobody can read side by side. */
const enginesMax = 16

/**
 * The engines that were asked for.
 * @throws KvError KV_USAGE for what is no engine, or one that is named twice.
 */
export function askedEngines(names: readonly string[]): readonly EngineSpec[] {
  const ceiling = names.find((name) => name.toLowerCase() === "memcpy")
  if (ceiling !== undefined) {
    throw new KvError("KV_USAGE", {
      what: `${ceiling} is no engine`,
      why: "it is the ceiling that kvferry bench holds engines against",
      next: "leave it out here",
    })
  }
  const specs = names.map(parseEngineSpec)
  const twice = specs.find(({ name }, i) => specs.findIndex((other) => other.name === name) !== i)
  if (twice !== undefined)
    throw new KvError("KV_USAGE", { what: `the engine ${twice.name} was named twice`, next: "name it once" })
  if (specs.length > enginesMax) {
    throw new KvError("KV_USAGE", {
      what: `${specs.length} engines were named`,
      why: `one run judges at most ${enginesMax}`,
      next: "judge them in several runs",
    })
  }
  return specs
}

/** kvferry, over each path that two processes of this machine may have: those that are not open here are left out. */
export function ownEngines(): readonly EngineSpec[] {
  const libfabric = findLibrary("libfabric.so.1").file !== undefined
  const paths = ["shm", "cma", "tcp", ...(libfabric ? ["libfabric-tcp"] : [])]
  return paths.map((path) => parseEngineSpec(`kvferry:${path}`))
}
