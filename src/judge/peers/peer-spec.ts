import { KvError } from "../../errors/kv-error.ts"

/** Engines of others, which are installed from their wheels. */
export const peerFamilies = ["nixl", "mooncake"] as const
export type PeerFamily = (typeof peerFamilies)[number]

/** A peer as a user names it: `nixl`, `nixl==0.6.1`, `mooncake`. */
export interface PeerSpec {
  readonly family: PeerFamily
  /** The newest when absent. */
  readonly version?: string
}

const form = /^([A-Za-z]+)(?:==([0-9][0-9A-Za-z.+]{0,40}))?$/

/** @throws KvError KV_USAGE with the forms that are understood. */
export function parsePeerSpec(text: string): PeerSpec {
  const [, family, version] = form.exec(text) ?? []
  const known = peerFamilies.find((one) => one === family?.toLowerCase())
  if (known === undefined) {
    throw new KvError("KV_USAGE", {
      what: `${JSON.stringify(text.slice(0, 80))} is no peer`,
      why: `a peer is written NAME or NAME==VERSION; the names are ${peerFamilies.join(" and ")}`,
      next: "kvferry peers install nixl mooncake nixl==0.6.1, say",
    })
  }
  return { family: known, ...(version === undefined ? {} : { version }) }
}

export const peerName = ({ family, version }: PeerSpec): string =>
  version === undefined ? family : `${family}==${version}`

/**
 * Orders versions as their makers number them: by their numbers, `post` after none, anything else (`rc`, `dev`) before the
 * release. `1.5` and `1.5.0` are the same.
 */
export function compareVersions(one: string, other: string): number {
  const left = parts(one)
  const right = parts(other)
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = rank(left[i], right[i]) - rank(right[i], left[i])
    if (difference !== 0) return difference
  }
  return 0
}

const parts = (version: string): string[] => version.match(/[0-9]+|[a-z]+/gi) ?? []
const isNumber = (part: string | undefined): boolean => part !== undefined && /^[0-9]/.test(part)

/** Where a version has ended already, the other one's number counts against 0, and its word against none. */
function rank(part: string | undefined, other: string | undefined): number {
  if (part === undefined) return isNumber(other) ? 0 : -1
  if (isNumber(part)) return Number(part)
  return part === "post" ? -0.5 : -2
}
