import type { CacheShape } from "../driver/protocol.ts"
import type { JudgeCase } from "./case.ts"
import { hold } from "./case-failed.ts"
import { refusalOf, runToItsEnd } from "./faults/large.ts"
import type { SequenceTables } from "./pieces.ts"
import { blocksFor, randomTable, randomTables } from "./tables.ts"
import { firstBlock, type Pair, pairOf, smallCache, type World } from "./world.ts"

type Direction = "read" | "write"

const bits16 = 2 ** 16

/** A pool of more blocks than 16 bits can number, of one token each. */
const wideCache: CacheShape = {
  ...smallCache,
  blocks: bits16 + 700,
  blockTokens: 1,
  kvHeads: 1,
  heads: 1,
  headDim: 16,
  elementBytes: 1,
}

/** Tables around the number that 16 bits cannot hold: a block and the one that a shorter number would be lie in one table. */
function* wideRounds({ source, target }: Pair, { random }: World): Iterable<SequenceTables> {
  const end = source.cache.blocks
  const around = [bits16 + 5, 5, bits16 - 1, bits16, bits16 + firstBlock, firstBlock, end - 1]
  yield {
    sourceBlocks: around,
    targetBlocks: random.distinct(around.length, bits16 - 9, end),
    tokens: around.length,
  }
  yield {
    sourceBlocks: random.distinct(20, bits16, end),
    targetBlocks: random.distinct(20, firstBlock, 2000),
    tokens: 20,
  }
  yield {
    sourceBlocks: random.distinct(20, firstBlock, end),
    targetBlocks: random.distinct(20, bits16, end),
    tokens: 20,
  }
  // Others may take minutes for a list of 65,536 pieces; an engine that knows tables has one of them.
  if (source.capabilities.includes("blocks")) yield randomTables(random, source, target, bits16 + 300)
}

async function move(
  world: World,
  direction: Direction,
  cache: CacheShape,
  rounds: (pair: Pair, world: World) => Iterable<SequenceTables>,
): Promise<void> {
  const pair = await pairOf(world, { level: "blocks", cache })
  const { scene, source, target } = pair
  for (const tables of rounds(pair, world)) {
    await scene.reuse(source, [...new Set(tables.sourceBlocks)])
    await (await scene.prepareSequence(source, target, tables, { direction })).run()
    await scene.check()
    target.poisonAgain()
  }
}

/** Behind the 65,536th block, of the table or of the pool, one that went to another request is seen as any other. */
async function wideReused(world: World): Promise<void> {
  const cache = { ...wideCache, layers: 1 }
  const { scene, source, target } = await pairOf(world, { level: "blocks", cache })
  const tables = randomTables(world.random, source, target, bits16 + 40)
  const highest = tables.sourceBlocks.indexOf(
    tables.sourceBlocks.reduce((one, other) => Math.max(one, other)),
  )
  for (const position of [highest, bits16 + 1, bits16, 1].slice(0, world.rounds(4))) {
    const options = { direction: "read", integrity: "epoch" } as const
    const transfer = await scene.prepareSequence(source, target, tables, options)
    await scene.reuse(source, [tables.sourceBlocks[position]!])
    const end = await runToItsEnd(transfer)
    hold(
      end?.state !== "done",
      "no-error",
      `block ${position + 1} of ${tables.sourceBlocks.length} was given to another request before they were read, and the transfer was called done`,
    )
    transfer.fail()
    await transfer.release()
    await scene.check()
    target.poisonAgain()
  }
}

/** Whoever posts has blocks for what comes after the prompt too: these are none of the transfer's business. */
function* roomRounds({ source, target }: Pair, world: World, direction: Direction): Iterable<SequenceTables> {
  const { random } = world
  for (let round = 0; round < world.rounds(6); round++) {
    const tokens = random.between(1, 20 * source.cache.blockTokens)
    const more = tokens + random.between(1, 20) * source.cache.blockTokens
    yield direction === "read"
      ? {
          tokens,
          sourceBlocks: randomTable(random, source, tokens),
          targetBlocks: randomTable(random, target, more),
        }
      : {
          tokens,
          sourceBlocks: randomTable(random, source, more),
          targetBlocks: randomTable(random, target, tokens),
        }
  }
}

/** Tables of a sliding window: what has left it is one null block, many times. */
function* nullBlockRounds({ source, target }: Pair, world: World): Iterable<SequenceTables> {
  const { random } = world
  for (let round = 0; round < world.rounds(6); round++) {
    const tokens = random.between(8, 20 * source.cache.blockTokens)
    const count = blocksFor(source, tokens)
    const [nothing, ...rest] = random.distinct(count + 1, firstBlock, source.cache.blocks)
    const gone = random.below(count)
    yield {
      tokens,
      sourceBlocks: rest.map((block, position) => (position < gone ? nothing! : block)),
      targetBlocks: randomTable(random, target, tokens),
    }
  }
}

/** Two places of a sequence cannot have one block: the engine says so, or fails, and calls nothing done. */
async function namedTwice(world: World, direction: Direction): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { random } = world
  const count = 7
  for (const [first, second] of [
    [0, count - 1],
    [count - 2, count - 1],
    [2, 3],
  ] as const) {
    const whole = randomTables(random, source, target, count * source.cache.blockTokens)
    const tables = { ...whole, targetBlocks: whole.targetBlocks.with(second, whole.targetBlocks[first]!) }
    const asked = async (): Promise<void> => {
      const transfer = await scene.prepareSequence(source, target, tables, { direction, integrity: "epoch" })
      const end = await runToItsEnd(transfer)
      transfer.fail()
      const what = `places ${first + 1} and ${second + 1} of a sequence were to land in one block`
      hold(end?.state !== "done", "no-error", `${what}, and the transfer was called done`)
      await transfer.release()
    }
    const refused = await refusalOf(asked())
    hold(refused === undefined || refused.text !== "", "no-reason", "a table was refused without a word")
    await scene.check()
    target.poisonAgain()
  }
}

/** Tables that are longer than any usual one, have room behind the sequence, or name a block twice. */
export const wideTables: readonly JudgeCase[] = [
  ...(["read", "write"] as const).flatMap((direction): JudgeCase[] => [
    {
      suite: "blocks",
      name: `wide-${direction}`,
      title: "In a pool of more than 65,536 blocks one is taken for the one 65,536 before it.",
      needs: [direction],
      run: (world) => move(world, direction, wideCache, wideRounds),
    },
    {
      suite: "blocks",
      name: `room-to-grow-${direction}`,
      title:
        "Blocks that a request has for its answer are written with its prompt, or the request is refused.",
      needs: [direction],
      run: (world) => move(world, direction, smallCache, (pair) => roomRounds(pair, world, direction)),
    },
    {
      suite: "faults",
      name: `named-twice-${direction}`,
      title: "A table with a mistake in it makes a prompt whose beginning its end has overwritten.",
      // An engine that is given a list of pieces has no tables to check.
      needs: [direction, "blocks", "epochs"],
      run: (world) => namedTwice(world, direction),
    },
  ]),
  {
    suite: "blocks",
    name: "null-block-read",
    title:
      "A prompt whose first blocks have left a sliding window is refused, or read from the wrong places.",
    needs: ["read"],
    run: (world) => move(world, "read", smallCache, nullBlockRounds),
  },
  {
    suite: "faults",
    name: "one-of-65536-reused",
    title: "In a prompt of more than 65,536 blocks, one that was given to another request is not noticed.",
    needs: ["blocks", "read", "epochs"],
    run: wideReused,
  },
]
