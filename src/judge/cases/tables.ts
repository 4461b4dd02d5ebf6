import type { Random } from "../random.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import type { SequenceTables } from "./pieces.ts"
import { firstBlock } from "./world.ts"

/** Blocks that a sequence of `tokens` tokens takes at an agent. */
export const blocksFor = ({ cache }: JudgedAgent, tokens: number): number =>
  Math.ceil(tokens / cache.blockTokens)

/** Different blocks for a sequence, in no order, none of them the first ones. */
export function randomTable(random: Random, agent: JudgedAgent, tokens: number): number[] {
  return random.distinct(blocksFor(agent, tokens), firstBlock, agent.cache.blocks)
}

/** A sequence of so many tokens in random blocks on each side. */
export function randomTables(
  random: Random,
  source: JudgedAgent,
  target: JudgedAgent,
  tokens: number,
): SequenceTables {
  return {
    sourceBlocks: randomTable(random, source, tokens),
    targetBlocks: randomTable(random, target, tokens),
    tokens,
  }
}
