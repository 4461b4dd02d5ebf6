import { nearestName } from "../../config/nearest-name.ts"
import { oneLine } from "../../terminal/one-line.ts"
import type { PeerCheck } from "./check-peer.ts"
import type { PeerFamily } from "./peer-spec.ts"
import { requirements } from "./requirements.ts"

/** A path as its engine spells it, whatever its letters' case; as it is when nobody knows it. */
export function spelled(family: PeerFamily, path: string | undefined): string | undefined {
  return requirements[family].paths.find((known) => known.toLowerCase() === path?.toLowerCase()) ?? path
}

/** Why an engine that loads here cannot be driven over `path`, as `spelled`; undefined when it can. */
export function whyNoPath(
  family: PeerFamily,
  { version, paths }: PeerCheck,
  path: string,
): string | undefined {
  const told = paths.find((one) => one.path === path)
  if (told?.usable === true) return undefined
  const usable = paths.filter((one) => one.usable).map((one) => one.path)
  const here =
    usable.length === 0 ? "no other one is to be had either" : `to be had here: ${usable.join(", ")}`
  const what = `${family} ${version} has no path ${oneLine(path, 80)} here`
  if (told !== undefined) return `${what}: ${told.why ?? "it does not say why"}; ${here}`
  return `${what}: ${reason(family, path)}; ${here}`
}

function reason(family: PeerFamily, path: string): string {
  const { paths, undriven } = requirements[family]
  const known = Object.keys(undriven).find((name) => name.toLowerCase() === path.toLowerCase())
  if (known !== undefined) return `${known} is ${undriven[known]}`
  if (paths.includes(path)) return "this installation does not have it"
  const near = paths.find((name) => nearestName(path.toLowerCase(), [name.toLowerCase()]) !== undefined)
  return `its driver does not know it${near === undefined ? "" : `; did you mean ${family}:${near}?`}`
}
