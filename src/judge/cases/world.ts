import type { CacheShape, Level } from "../driver/protocol.ts"
import type { EngineSpec } from "../engine-spec.ts"
import type { Random } from "../random.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import type { Scene } from "./scene.ts"

/** How much is done: a look, the default, or a soak. */
export type Effort = "quick" | "default" | "long"

/** An agent that a scene needs. */
export interface Role {
  readonly name: string
  readonly cache: CacheShape
  /** What its memory holds at first: a pattern to be moved, or poison. */
  readonly holds: "pattern" | "poison"
  /** The name that it gives itself, when not `name`: two agents of one name. */
  readonly callsItself?: string
  readonly rails?: number
  /** Another path than the engine's own. */
  readonly path?: string
  /** Options of the engine, as it knows them. */
  readonly options?: Readonly<Record<string, string | number | boolean>>
  /** Added to the environment of its process. */
  readonly env?: Readonly<Record<string, string>>
}

export interface SceneOptions {
  readonly level: Level
  /** Processes of its own, that no other case sees: where they are killed, stopped or left in disorder. */
  readonly fresh?: boolean
  /** What the case needs beside what it says of itself. */
  readonly roles: readonly Role[]
}

/** A source and a target. */
export interface Pair {
  readonly scene: Scene
  readonly source: JudgedAgent
  readonly target: JudgedAgent
}

/** What a case has to work with. */
export interface World {
  readonly engine: EngineSpec
  readonly effort: Effort
  /** Decided by the seed and the case's id. */
  readonly random: Random
  /** Opens agents, or takes those that an earlier case of the suite has left in order. */
  scene(options: SceneOptions): Promise<Scene>
  /** One more agent for a scene's place of that name: a restart. */
  reopen(scene: Scene, agent: JudgedAgent): Promise<JudgedAgent>
  /** A number of rounds, by the effort: `count` by default. */
  rounds(count: number): number
}

/** Blocks that no case uses for data: engines that confuse a block with the region's start show it there. */
export const firstBlock = 2

/** The cache of most cases: 3 layers of 192 blocks of 16 KiB. */
export const middleCache: CacheShape = {
  layers: 3,
  blocks: 192,
  blockTokens: 16,
  kvHeads: 4,
  firstHead: 0,
  heads: 4,
  headDim: 64,
  elementBytes: 2,
}

/** A small one, for cases with many rounds: 2 layers of 64 blocks of 4 KiB. */
export const smallCache: CacheShape = {
  ...middleCache,
  layers: 2,
  blocks: 64,
  blockTokens: 8,
  kvHeads: 2,
  heads: 2,
}

/** A source full of its pattern and a poisoned target. */
export async function pairOf(
  world: World,
  options: Omit<SceneOptions, "roles"> & {
    readonly cache?: CacheShape
    readonly targetCache?: CacheShape
    readonly options?: Role["options"]
  },
): Promise<Pair> {
  const { cache = middleCache, targetCache = cache, options: own, ...rest } = options
  const shared = own === undefined ? {} : { options: own }
  const scene = await world.scene({
    ...rest,
    roles: [
      { name: "prefill", cache, holds: "pattern", ...shared },
      { name: "decode", cache: targetCache, holds: "poison", ...shared },
    ],
  })
  return { scene, source: scene.agent("prefill"), target: scene.agent("decode") }
}
