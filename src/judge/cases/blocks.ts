import type { CacheShape } from "../driver/protocol.ts"
import type { JudgeCase } from "./case.ts"
import { NotSupported } from "./case-failed.ts"
import type { SequenceTables } from "./pieces.ts"
import { blocksFor, randomTable, randomTables } from "./tables.ts"
import { firstBlock, middleCache, type Pair, pairOf, smallCache, type World } from "./world.ts"

type Direction = "read" | "write"
type Rounds = (pair: Pair, world: World) => Iterable<SequenceTables>

interface Caches {
  readonly cache: CacheShape
  readonly targetCache?: CacheShape
}

/** One sequence after the other, each with content of its own; all memory is looked at after each. */
async function moveSequences(
  world: World,
  direction: Direction,
  caches: Caches,
  rounds: Rounds,
): Promise<void> {
  const pair = await pairOf(world, { level: "blocks", ...caches })
  for (const tables of rounds(pair, world)) {
    await pair.scene.reuse(pair.source, tables.sourceBlocks)
    const transfer = await pair.scene.prepareSequence(pair.source, pair.target, tables, { direction })
    await transfer.run()
    await pair.scene.check()
    pair.target.poisonAgain()
  }
}

function bothWays(name: string, title: string, caches: Caches, rounds: Rounds): JudgeCase[] {
  return (["read", "write"] as const).map((direction) => ({
    suite: "blocks",
    name: `${name}-${direction}`,
    title,
    needs: [direction],
    run: (world) => moveSequences(world, direction, caches, rounds),
  }))
}

/** Full blocks in random places: other ones on each side, or the same on both. */
function* randomRounds({ source, target }: Pair, world: World): Iterable<SequenceTables> {
  const { random } = world
  for (let round = 0; round < world.rounds(8); round++) {
    const count = random.between(1, 60)
    const tables = randomTables(random, source, target, count * source.cache.blockTokens)
    yield round % 3 === 2 ? { ...tables, targetBlocks: tables.sourceBlocks } : tables
  }
}

/** Every length of a last block, with tables that go up, down and across. */
function* lengthRounds({ source, target }: Pair, { random }: World): Iterable<SequenceTables> {
  const { blockTokens } = source.cache
  for (let rest = 0; rest < blockTokens; rest++) {
    const tokens = random.between(0, 5) * blockTokens + (rest === 0 ? blockTokens : rest)
    const tables = randomTables(random, source, target, tokens)
    const up = (blocks: readonly number[]): number[] => blocks.toSorted((a, b) => a - b)
    yield rest % 3 === 0
      ? tables
      : {
          tokens,
          sourceBlocks: rest % 3 === 1 ? up(tables.sourceBlocks) : up(tables.sourceBlocks).reverse(),
          targetBlocks: up(tables.targetBlocks),
        }
  }
}

/** Runs of neighbours, which engines like to merge: on both sides, on one side, and with one block that breaks the run. */
function* runRounds({ source, target }: Pair, { random }: World): Iterable<SequenceTables> {
  const count = 24
  const up = (first: number): number[] => Array.from({ length: count }, (_, i) => first + i)
  const tokens = count * source.cache.blockTokens
  const tables = [
    [up(firstBlock), up(firstBlock)],
    [up(firstBlock + 3), random.shuffled(up(firstBlock + 9))],
    [random.shuffled(up(30)), up(firstBlock)],
    [up(5).reverse(), up(5)],
    [up(5).with(7, 60), up(20)],
    [up(5), up(20).with(count - 1, 3)],
    [up(source.cache.blocks - count), up(target.cache.blocks - count)],
  ] as const
  for (const [sourceBlocks, targetBlocks] of tables) yield { sourceBlocks, targetBlocks, tokens }
}

const caches: Readonly<Record<string, CacheShape>> = {
  "one layer of one head": { ...smallCache, layers: 1, kvHeads: 1, heads: 1 },
  "61 layers": { ...smallCache, layers: 61, blocks: 24, blockTokens: 4, headDim: 16 },
  "blocks of one token": { ...smallCache, blocks: 200, blockTokens: 1 },
  "blocks of 128 tokens": { ...smallCache, blocks: 16, blockTokens: 128, headDim: 32 },
  "fp32, 80 numbers a head, 3 heads": { ...smallCache, kvHeads: 3, heads: 3, headDim: 80, elementBytes: 4 },
  "fp8, 96 numbers a head, 5 heads": { ...smallCache, kvHeads: 5, heads: 5, headDim: 96, elementBytes: 1 },
}

/** Sequences of hundreds and thousands of blocks: more than a byte, ten bits or twelve can count. */
function* longRounds({ source, target }: Pair, { random }: World): Iterable<SequenceTables> {
  for (const count of [255, 256, 257, 1025, 4099])
    yield randomTables(random, source, target, count * source.cache.blockTokens)
}

/** A large pool of small blocks, and tables whose blocks lie far from each other, or close to one of the ends. */
function* farRounds({ source, target }: Pair, { random }: World): Iterable<SequenceTables> {
  const end = source.cache.blocks
  for (const sourceBlocks of [
    [firstBlock, end - 1],
    [end - 1, firstBlock, Math.floor(end / 2)],
    random.distinct(12, firstBlock, end),
    random.distinct(12, end - 40, end),
  ]) {
    const targetBlocks = random.distinct(sourceBlocks.length, firstBlock, target.cache.blocks)
    yield { sourceBlocks, targetBlocks, tokens: sourceBlocks.length * source.cache.blockTokens }
  }
}

/** Blocks of unequal size on the two sides: neither is a multiple of the other. */
function* unequalRounds({ source, target }: Pair, world: World): Iterable<SequenceTables> {
  const { random } = world
  const together = source.cache.blockTokens * target.cache.blockTokens
  for (const tokens of [1, target.cache.blockTokens, source.cache.blockTokens + 1, together, together + 1])
    yield randomTables(random, source, target, tokens)
  for (let round = 0; round < world.rounds(6); round++)
    yield randomTables(random, source, target, random.between(1, 10 * together))
}

const smallBlocks: CacheShape = { ...middleCache, blockTokens: 6, blocks: 480 }
/** Thousands of very small blocks. */
export const longCache: CacheShape = { ...smallCache, blocks: 4200, blockTokens: 2, headDim: 16 }
/** More blocks than a page has stamps of 4 bytes, twice. */
const farCache: CacheShape = {
  ...smallCache,
  blocks: 2300,
  blockTokens: 1,
  kvHeads: 1,
  heads: 1,
  headDim: 32,
}

/** kvferry's own call that does all from the claim to the proof. */
async function oneCall(world: World): Promise<void> {
  if (world.engine.family !== "kvferry") throw new NotSupported("its driver knows one way to read")
  const { scene, source, target } = await pairOf(world, { level: "blocks", options: { pull: true } })
  for (const tables of randomRounds({ scene, source, target }, world)) {
    await scene.reuse(source, tables.sourceBlocks)
    await (await scene.prepareSequence(source, target, tables, { direction: "read" })).run()
    await scene.check()
    target.poisonAgain()
  }
}

/** A few sequences in a cache of each shape. */
async function everyCache(world: World): Promise<void> {
  for (const cache of Object.values(caches)) {
    const targetCache = { ...cache, blocks: cache.blocks + 7 }
    await moveSequences(world, "read", { cache, targetCache }, function* ({ source, target }, { random }) {
      for (let round = 0; round < 3; round++) {
        const tokens = random.between(1, (cache.blocks - firstBlock) * cache.blockTokens)
        yield randomTables(random, source, target, tokens)
      }
    })
  }
}

/** The target has the beginning of a sequence already: only the blocks behind it are lent and read. */
async function prefixHit(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { blockTokens } = source.cache
  for (let round = 0; round < world.rounds(5); round++) {
    const tokens = world.random.between(8, 40) * blockTokens + world.random.below(blockTokens)
    const whole = randomTables(world.random, source, target, tokens)
    const hit = world.random.between(1, blocksFor(source, tokens) - 1)
    const prefix = {
      sourceBlocks: whole.sourceBlocks.slice(0, hit),
      targetBlocks: whole.targetBlocks.slice(0, hit),
      tokens: hit * blockTokens,
    }
    await scene.reuse(source, whole.sourceBlocks)
    await (await scene.prepareSequence(source, target, prefix, { direction: "read" })).run()
    // Meanwhile the source's first blocks belong to somebody else: the target's must stay as they are.
    await scene.reuse(source, prefix.sourceBlocks)
    const tail = {
      sourceBlocks: whole.sourceBlocks.slice(hit),
      targetBlocks: whole.targetBlocks.slice(hit),
      tokens: tokens - prefix.tokens,
    }
    await (await scene.prepareSequence(source, target, tail, { direction: "read" })).run()
    await scene.check()
    target.poisonAgain()
  }
}

/** Blocks change hands: each round new content is written into blocks that have been moved before. */
async function reusedBlocks(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const tokens = 20 * source.cache.blockTokens
  const sourceBlocks = randomTable(world.random, source, tokens)
  for (let round = 0; round < world.rounds(8); round++) {
    await scene.reuse(source, sourceBlocks)
    const tables = {
      sourceBlocks: world.random.shuffled(sourceBlocks),
      targetBlocks: randomTable(world.random, target, tokens),
      tokens,
    }
    await (await scene.prepareSequence(source, target, tables, { direction: "read" })).run()
    await scene.check()
    target.poisonAgain()
  }
}

export const blocks: readonly JudgeCase[] = [
  ...bothWays(
    "random-tables",
    "A prompt's blocks arrive in each other's places, and the model goes on from another text.",
    { cache: middleCache },
    randomRounds,
  ),
  ...bothWays(
    "lengths",
    "The last tokens of a prompt are lost, or what lies behind them is overwritten.",
    { cache: middleCache },
    lengthRounds,
  ),
  ...bothWays(
    "runs",
    "Neighbouring blocks are merged with one that is no neighbour.",
    { cache: middleCache },
    runRounds,
  ),
  ...bothWays(
    "long",
    "A prompt of hundreds or thousands of blocks loses those that its table cannot count.",
    { cache: longCache },
    longRounds,
  ),
  // The larger blocks are once the source's, once the target's.
  ...(
    [
      ["read", { cache: middleCache, targetCache: smallBlocks }],
      ["write", { cache: smallBlocks, targetCache: middleCache }],
    ] as const
  ).map(
    ([direction, caches]): JudgeCase => ({
      suite: "blocks",
      name: `unequal-${direction}`,
      title: "Two workers whose blocks have unequal sizes take a token from another one's place.",
      needs: [direction],
      run: (world) => moveSequences(world, direction, caches, unequalRounds),
    }),
  ),
  ...bothWays(
    "far-apart",
    "In a large pool, blocks that lie far from each other are taken for their neighbours.",
    { cache: farCache },
    farRounds,
  ),
  {
    suite: "blocks",
    name: "one-call-read",
    title: "The short way to read a sequence brings other bytes than the long one.",
    needs: ["blocks", "read"],
    run: oneCall,
  },
  {
    suite: "blocks",
    name: "cache-shapes",
    title: "A model of another shape (layers, heads, numbers, block size) gets wrong rows.",
    needs: ["read"],
    run: everyCache,
  },
  {
    suite: "blocks",
    name: "prefix-hit",
    title: "A request whose beginning is cached overwrites the cached blocks, or reads the wrong rest.",
    needs: ["read"],
    run: prefixHit,
  },
  {
    suite: "blocks",
    name: "reused-blocks",
    title: "A block that was given to another request still brings the bytes of the one before.",
    needs: ["read"],
    run: reusedBlocks,
  },
]
