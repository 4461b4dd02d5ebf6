import { KvError } from "../errors/kv-error.ts"
import type { PeerKind } from "./peers/peer-list.ts"
import { type JobName, jobNames } from "./phases.ts"
import { type FabricName, fabrics, type Lane } from "./sides/lanes.ts"

/** Rails that each fabric is measured with. */
const widths = [1, 2] as const
const families: readonly PeerKind["family"][] = ["nixl", "mooncake"]

/** What a run measures. */
export interface Choice {
  readonly lanes: readonly Lane[]
  readonly families: (family: PeerKind["family"]) => boolean
  readonly jobs: ReadonlySet<JobName>
}

/** What `--only` and `--jobs` leave of everything; all of it without them. @throws KvError KV_USAGE. */
export function choose(only: readonly string[] | undefined, jobs: readonly string[] | undefined): Choice {
  const names = Object.keys(fabrics) as FabricName[]
  const known: readonly string[] = [...names, ...families]
  check("--only", only ?? [], known)
  check("--jobs", jobs ?? [], jobNames)
  const wanted = (name: string): boolean => only === undefined || only.includes(name)
  const measured = names.filter((name) => (only === undefined ? !fabrics[name].onRequest : wanted(name)))
  const lanes = measured.flatMap((fabric) => widths.map((width) => ({ fabric, width })))
  if (lanes.length === 0) {
    throw new KvError("KV_USAGE", {
      what: "--only names no fabric of kvferry's, so there is nothing to measure the others beside",
      next: `add one of: ${names.join(", ")}`,
    })
  }
  return { lanes, families: wanted, jobs: new Set((jobs ?? jobNames) as readonly JobName[]) }
}

function check(option: string, given: readonly string[], known: readonly string[]): void {
  const stranger = given.find((name) => !known.includes(name))
  if (stranger === undefined) return
  throw new KvError("KV_USAGE", {
    what: `${option} does not know ${JSON.stringify(stranger.slice(0, 40))}`,
    next: `it takes a list of: ${known.join(", ")}`,
  })
}
