import { pickedBlocks } from "../../bench/picked-blocks.ts"
import { KvError } from "../../errors/kv-error.ts"
import { sequencePieces } from "../cases/pieces.ts"
import type { CacheShape } from "../driver/protocol.ts"
import type { LoadPlan } from "./judged-memory.ts"
import { firstDataBlock, type LoadRequest } from "./load-request.ts"

/** One agent of an engine: a rank of a prefill or a decode engine. */
export interface DealtAgent {
  /** Its place among all agents: whom the words of its memory name. */
  readonly owner: number
  readonly name: string
  readonly side: "prefill" | "decode"
  readonly cache: CacheShape
}

/** Blocks that go from one agent to another in one transfer. */
export interface DealtMove {
  /** Unique among all. */
  readonly transfer: number
  readonly source: number
  readonly target: number
  /** The one that posts: the target of a read, the source of a write. */
  readonly poster: number
  readonly sourceBlocks: readonly number[]
  readonly targetBlocks: readonly number[]
  readonly tokens: number
  readonly plan: LoadPlan
}

/** Who moves what: agents, and transfers between them. */
export interface DealtLoad {
  readonly agents: readonly DealtAgent[]
  readonly moves: readonly DealtMove[]
  /** Of one round. */
  readonly bytes: number
  readonly pieces: number
}

/** Words of the pattern have so many bits for an agent. */
const agentsMax = 32

/**
 * Deals a load: engine pair i joins prefill engine i mod P and decode engine i mod D, rank by rank where they hold common heads.
 *
 * All ranks of an engine have the same block table, as in vLLM. Several decode engines of one prefill engine read different
 * blocks while the pool has enough, else the same.
 * @throws KvError KV_USAGE for more agents than can be told apart.
 */
export function dealLoad(request: LoadRequest): DealtLoad {
  const { prefillEngines, decodeEngines, prefillTp, decodeTp } = request
  const count = prefillEngines * prefillTp + decodeEngines * decodeTp
  if (count > agentsMax) {
    throw new KvError("KV_USAGE", {
      what: `${count} agents were asked for on the two sides together`,
      why: `each is a process, and the bytes of at most ${agentsMax} can be told apart`,
      next: "take fewer engines, or fewer ranks",
    })
  }
  const agents: DealtAgent[] = []
  const ranks = (side: DealtAgent["side"], engines: number, tp: number): number[][] =>
    Array.from({ length: engines }, (_, engine) =>
      Array.from({ length: tp }, (_, rank) => {
        const name = `${side}-${engine}${tp === 1 ? "" : `.${rank}`}`
        return agents.push({ owner: agents.length, name, side, cache: cacheOf(request, tp, rank) }) - 1
      }),
    )
  const prefill = ranks("prefill", prefillEngines, prefillTp)
  const decode = ranks("decode", decodeEngines, decodeTp)
  const pairs = Math.max(prefillEngines, decodeEngines)
  const sources = tables(request, prefillEngines, pairs, request.seed)
  const targets = tables(request, decodeEngines, pairs, request.seed + 1)

  const moves: DealtMove[] = []
  for (let pair = 0; pair < pairs; pair++) {
    for (const source of prefill[pair % prefillEngines]!) {
      for (const target of decode[pair % decodeEngines]!) {
        if (!shareHeads(agents[source]!.cache, agents[target]!.cache)) continue
        const transfers = Math.ceil(request.blocks / request.batch)
        for (let n = 0; n < transfers; n++) {
          // Every so many blocks, not a run of them: neighbours would be one piece, and no batch.
          const part = (blocks: readonly number[]): readonly number[] =>
            blocks.filter((_, i) => i % transfers === n)
          moves.push(
            moveOf(agents, {
              transfer: moves.length,
              source,
              target,
              poster: request.op === "read" ? target : source,
              sourceBlocks: part(sources[pair]!),
              targetBlocks: part(targets[pair]!),
            }),
          )
        }
      }
    }
  }
  return {
    agents,
    moves,
    bytes: moves.reduce((sum, { plan }) => sum + plan.bytes, 0),
    pieces: moves.reduce((sum, { plan }) => sum + plan.pieces, 0),
  }
}

/** Bytes of one layer's region of an agent. */
export const regionBytesOf = (cache: CacheShape): number => cache.blocks * blockBytesOf(cache)

const blockBytesOf = ({ heads, blockTokens, headDim, elementBytes }: CacheShape): number =>
  2 * heads * blockTokens * headDim * elementBytes

function cacheOf({ geometry, layers, numBlocks }: LoadRequest, tp: number, rank: number): CacheShape {
  const { shape, blockTokens } = geometry
  const heads = shape.kvHeads / tp
  return { ...shape, layers, blocks: numBlocks, blockTokens, firstHead: rank * heads, heads }
}

/** The block table of each pair on one side. Pairs of one engine have different blocks, while there are enough. */
function tables(request: LoadRequest, engines: number, pairs: number, seed: number): number[][] {
  const { numBlocks, blocks, randomBlocks } = request
  const room = numBlocks - firstDataBlock
  const perEngine = Math.ceil(pairs / engines)
  const shared = blocks * perEngine > room
  // Neighbours on the source's side start at the front, on the target's side they end before the last block: an engine that takes
  // one's numbers for the other's is found out, and so is one that writes behind the last of them.
  const first = seed === request.seed ? 0 : room - blocks * perEngine - 1
  const taken = Array.from({ length: engines }, (_, engine) =>
    randomBlocks
      ? [...pickedBlocks(room, shared ? blocks : blocks * perEngine, seed + 2 * engine)]
      : Array.from({ length: shared ? blocks : blocks * perEngine }, (_, i) => Math.max(0, first) + i),
  )
  return Array.from({ length: pairs }, (_, pair) => {
    const at = shared ? 0 : Math.floor(pair / engines) * blocks
    return taken[pair % engines]!.slice(at, at + blocks).map((block) => firstDataBlock + block)
  })
}

const shareHeads = (a: CacheShape, b: CacheShape): boolean =>
  Math.min(a.firstHead + a.heads, b.firstHead + b.heads) > Math.max(a.firstHead, b.firstHead)

/** What goes where is worked out row by row, as the judge's cases do it: a mistake of our planner must not be its own judge. */
function moveOf(agents: readonly DealtAgent[], move: Omit<DealtMove, "tokens" | "plan">): DealtMove {
  const [source, target] = [agents[move.source]!.cache, agents[move.target]!.cache]
  const tokens = move.sourceBlocks.length * source.blockTokens
  const pieces = sequencePieces(source, target, { ...move, tokens })
  const plan: LoadPlan = {
    pieces: pieces.length,
    bytes: pieces.reduce((sum, { length }) => sum + length, 0),
    sourceRegion: Uint32Array.from(pieces, ({ sourceRegion }) => sourceRegion),
    sourceOffset: Float64Array.from(pieces, ({ sourceOffset }) => sourceOffset),
    targetRegion: Uint32Array.from(pieces, ({ targetRegion }) => targetRegion),
    targetOffset: Float64Array.from(pieces, ({ targetOffset }) => targetOffset),
    length: Uint32Array.from(pieces, ({ length }) => length),
  }
  return { ...move, tokens, plan }
}
