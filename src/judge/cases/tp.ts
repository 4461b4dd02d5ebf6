import type { CacheShape } from "../driver/protocol.ts"
import type { JudgeCase } from "./case.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import type { Scene } from "./scene.ts"
import { randomTable } from "./tables.ts"
import type { TransferOptions } from "./transfer.ts"
import { smallCache, type World } from "./world.ts"

const degrees = [1, 2, 4] as const
const model: CacheShape = { ...smallCache, layers: 3, kvHeads: 4, heads: 4 }

/** The slice of the heads that rank `rank` of `degree` holds. */
function rankCache(rank: number, degree: number): CacheShape {
  const heads = model.kvHeads / degree
  return { ...model, firstHead: rank * heads, heads }
}

function ranks(side: string, degree: number, holds: "pattern" | "poison") {
  return Array.from({ length: degree }, (_, rank) => ({
    name: `${side}-tp${degree}-${rank}`,
    cache: rankCache(rank, degree),
    holds,
  }))
}

const shareHeads = (one: JudgedAgent, other: JudgedAgent): boolean =>
  one.cache.firstHead < other.cache.firstHead + other.cache.heads &&
  other.cache.firstHead < one.cache.firstHead + one.cache.heads

/** All ranks of all degrees, in one scene for all cases: each is a process with tables of its own. */
const roles = degrees.flatMap((degree) => [
  ...ranks("prefill", degree, "pattern"),
  ...ranks("decode", degree, "poison"),
])

/** Every decode rank reads its heads from the prefill ranks that have them. */
async function reshard(world: World, prefill: number, decode: number): Promise<void> {
  const scene = await world.scene({ level: "blocks", roles })
  const side = (name: string, degree: number): JudgedAgent[] =>
    scene.agents.filter((agent) => agent.name.startsWith(`${name}-tp${degree}-`))
  const [sources, targets] = [side("prefill", prefill), side("decode", decode)]
  for (let round = 0; round < world.rounds(4); round++) {
    const tokens = world.random.between(1, 40 * model.blockTokens)
    await readAll(world, scene, sources, targets, tokens)
    await scene.check()
    for (const target of targets) target.poisonAgain()
  }
}

async function readAll(
  { random }: World,
  scene: Scene,
  sources: readonly JudgedAgent[],
  targets: readonly JudgedAgent[],
  tokens: number,
): Promise<void> {
  const tables = new Map([...sources, ...targets].map((agent) => [agent, randomTable(random, agent, tokens)]))
  for (const source of sources) await scene.reuse(source, tables.get(source)!)
  // A rank can prove blocks only to one that holds the same heads.
  const options: TransferOptions = {
    direction: "read",
    ...(sources.length === targets.length ? {} : { integrity: "epoch" }),
  }
  for (const target of targets) {
    const transfers = []
    for (const source of sources.filter((one) => shareHeads(one, target))) {
      const sequence = { sourceBlocks: tables.get(source)!, targetBlocks: tables.get(target)!, tokens }
      const transfer = await scene.prepareSequence(source, target, sequence, options)
      await transfer.post()
      transfers.push(transfer)
    }
    for (const transfer of transfers) {
      await transfer.done()
      await transfer.release()
    }
  }
}

export const tp: readonly JudgeCase[] = degrees.flatMap((prefill) =>
  degrees.map(
    (decode): JudgeCase => ({
      suite: "tp",
      name: `${prefill}-to-${decode}`,
      title: `Prefill with TP ${prefill} and decode with TP ${decode}: a rank gets the heads of another one.`,
      needs: prefill === decode ? ["read"] : ["read", "heads", "concurrent"],
      run: (world) => reshard(world, prefill, decode),
    }),
  ),
)
