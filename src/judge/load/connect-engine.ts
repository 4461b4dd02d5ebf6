import { encodePieces } from "../driver/columns.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { Answers, Questions } from "../driver/protocol.ts"
import type { EngineSpec } from "../engine-spec.ts"
import type { DealtLoad, DealtMove } from "./deal-load.ts"
import type { LoadAgent } from "./load-agent.ts"
import type { LoadRequest } from "./load-request.ts"

/** Beside what it was asked to last: a machine that swaps, a peer that is slow. */
export const patienceMillis = 60_000

export interface EngineLoadOptions {
  readonly spec: EngineSpec
  readonly request: LoadRequest
  readonly dealt: DealtLoad
  /** By owner; their drivers have started. */
  readonly agents: readonly LoadAgent[]
  /** The address that an agent listens on and tells its peers. */
  readonly hostOf: (agent: LoadAgent) => string
}

/** How an agent of a load is opened. */
export function openQuestion(
  { spec, request, hostOf }: EngineLoadOptions,
  agent: LoadAgent,
): Questions["open"] {
  const own = spec.family === "kvferry"
  const { paths, integrity, op } = request
  return {
    name: agent.dealt.name,
    // A lease for writing ends with its first write: repeats are measured at the fabric itself.
    level: op === "write" ? "pieces" : "blocks",
    cache: agent.dealt.cache,
    ...(spec.path === undefined ? {} : { path: spec.path }),
    options: {
      host: hostOf(agent),
      ...(own ? { integrity } : {}),
      ...(own && spec.path === undefined && paths !== undefined ? { paths: paths.join(",") } : {}),
    },
  }
}

/** Every agent that posts learns of those that it posts to. */
export async function connectAll({ agents, dealt }: EngineLoadOptions): Promise<void> {
  const known = new Set<string>()
  for (const move of dealt.moves) {
    const [poster, peer] = ends(move).map((owner) => agents[owner]!) as [LoadAgent, LoadAgent]
    const key = `${poster.dealt.name} ${peer.dealt.name}`
    if (known.has(key)) continue
    known.add(key)
    const { card } = await peer.ask("invite", { peer: poster.dealt.name })
    await poster.ask("connect", { peer: peer.dealt.name, card }, patienceMillis)
  }
}

/** Lends and prepares every transfer. Returns how long the engine took, in microseconds. */
export async function prepareAll(
  { agents, dealt, request }: EngineLoadOptions,
  opened: readonly Answers["open"][],
  note: string | undefined,
): Promise<number> {
  let total = 0
  for (const move of dealt.moves) {
    const [poster, peer] = ends(move)
    const { plan, transfer, tokens } = move
    const read = request.op === "read"
    const [theirs, ours] = read
      ? [move.sourceBlocks, move.targetBlocks]
      : [move.targetBlocks, move.sourceBlocks]
    const lends = opened[peer]!.capabilities.includes("blocks")
    const { offer } = lends
      ? await agents[peer]!.ask("lend", { blocks: theirs, tokens, access: request.op })
      : { offer: "" }
    const pieces = {
      localRegion: read ? plan.targetRegion : plan.sourceRegion,
      localOffset: read ? plan.targetOffset : plan.sourceOffset,
      remoteRegion: read ? plan.sourceRegion : plan.targetRegion,
      remoteOffset: read ? plan.sourceOffset : plan.targetOffset,
      length: plan.length,
    }
    const { micros } = await agents[poster]!.ask(
      "prepare",
      {
        transfer,
        peer: agents[peer]!.dealt.name,
        direction: request.op,
        pieces: encodePieces(pieces),
        sequence: { offer, blocks: ours, tokens },
        integrity: request.integrity,
        ...(note === undefined ? {} : { note }),
      },
      patienceMillis,
    )
    total += micros
  }
  return total
}

/** The one that posts, and the other one. */
const ends = ({ poster, source, target }: DealtMove): [number, number] => [
  poster,
  poster === source ? target : source,
]

/** Both sides of an engine must be of one version: what they say to each other may have changed. @throws DriverFailed with both. */
export function checkVersions({ spec, agents }: EngineLoadOptions, opened: readonly Answers["open"][]): void {
  const other = opened.findIndex(({ version }) => version !== opened[0]!.version)
  if (other === -1) return
  const [one, two] = [agents[0]!.dealt.name, agents[other]!.dealt.name]
  throw new DriverFailed("error", {
    code: "version",
    text: `${spec.name}: ${one} has version ${opened[0]!.version}, ${two} has ${opened[other]!.version}; install the same on both hosts`,
    log: "",
  })
}
