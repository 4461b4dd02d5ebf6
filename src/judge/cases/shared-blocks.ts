import type { JudgeCase } from "./case.ts"
import { hold } from "./case-failed.ts"
import { refusalOf } from "./faults/large.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import type { SequenceTables } from "./pieces.ts"
import type { Scene } from "./scene.ts"
import { randomTable, randomTables } from "./tables.ts"
import { pairOf, type World } from "./world.ts"

type Direction = "read" | "write"

/** A conversation: the same blocks are lent turn by turn, each time with more tokens; then in another order, to another request. */
async function grown(world: World, direction: Direction): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { random } = world
  const { blockTokens } = source.cache
  for (let round = 0; round < world.rounds(5); round++) {
    const most = random.between(3, 20) * blockTokens
    const { sourceBlocks } = randomTables(random, source, target, most)
    await scene.reuse(source, sourceBlocks)
    const turns = Array.from({ length: 3 }, () => random.between(1, most - 1)).sort((a, b) => a - b)
    // Two ends in one block, and the whole.
    for (const tokens of [...turns, turns.at(-1)! + 1, most]) {
      const blocks = sourceBlocks.slice(0, Math.ceil(tokens / blockTokens))
      await move(scene, direction, { ...tablesOf(world, target, blocks, tokens) })
    }
    await move(scene, direction, tablesOf(world, target, random.shuffled(sourceBlocks), most))
    // A request that shares the beginning, and ends elsewhere.
    const others = random.distinct(4, 2, source.cache.blocks).filter((block) => !sourceBlocks.includes(block))
    const shared = [...sourceBlocks.slice(0, 2), ...others]
    await move(scene, direction, tablesOf(world, target, shared, shared.length * blockTokens - 1))
  }
}

function tablesOf(world: World, target: JudgedAgent, sourceBlocks: number[], tokens: number): SequenceTables {
  return { sourceBlocks, targetBlocks: randomTable(world.random, target, tokens), tokens }
}

async function move(scene: Scene, direction: Direction, tables: SequenceTables): Promise<void> {
  const [source, target] = scene.agents
  await (await scene.prepareSequence(source!, target!, tables, { direction })).run()
  await scene.check()
  target!.poisonAgain()
}

/** What has come is passed on: the target's blocks are read by another, after each time that they were filled anew. */
async function relay(world: World, direction: Direction): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { random } = world
  const tokens = 12 * source.cache.blockTokens - 5
  const passed = randomTable(random, target, tokens)
  for (let round = 0; round < world.rounds(5); round++) {
    const first = { sourceBlocks: randomTable(random, source, tokens), targetBlocks: passed, tokens }
    await scene.reuse(source, first.sourceBlocks)
    // Who reads into its blocks says that they are another sequence's; who lends them to be filled has said so.
    if (direction === "read") await scene.reuse(target, passed)
    await (await scene.prepareSequence(source, target, first, { direction })).run()
    await scene.check()
    const free = random.distinct(source.cache.blocks, 0, source.cache.blocks)
    const back = free
      .filter((block) => block > 1 && !first.sourceBlocks.includes(block))
      .slice(0, passed.length)
    await scene.reuse(source, back)
    const second = { sourceBlocks: passed, targetBlocks: back, tokens }
    await (await scene.prepareSequence(target, source, second, { direction: "read" })).run()
    await scene.check()
  }
}

/** A prepared read is posted again and again: it brings what it is to bring each time, until its blocks change hands. */
async function postedAgain(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { random } = world
  for (let round = 0; round < world.rounds(4); round++) {
    const tables = randomTables(random, source, target, random.between(1, 30 * source.cache.blockTokens))
    await scene.reuse(source, tables.sourceBlocks)
    const transfer = await scene.prepareSequence(source, target, tables, { direction: "read" })
    for (let post = 0; post < 4; post++) {
      await transfer.post()
      await transfer.done()
      await scene.check()
      target.poisonAgain()
    }
    if (source.capabilities.includes("epochs")) {
      await scene.reuse(source, [random.pick(tables.sourceBlocks)])
      const refused = await refusalOf(transfer.post())
      const state = refused === undefined ? (await transfer.end()).state : "failed"
      const what = "a block was given to another request between two posts of one read"
      hold(state !== "done", "no-error", `${what}, and the later one was called done`)
      transfer.fail()
    }
    await transfer.release()
    await scene.check()
    target.poisonAgain()
  }
}

/** Blocks that are lent more than once: in turns, to several, and on. */
export const sharedBlocks: readonly JudgeCase[] = [
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "blocks",
      name: `grown-${direction}`,
      title:
        "A prompt that grows turn by turn, or shares blocks with another one, fails or brings the earlier turn.",
      needs: [direction],
      run: (world) => grown(world, direction),
    }),
  ),
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "blocks",
      name: `relay-${direction}`,
      title: "Blocks that were received and are passed on bring what they held before.",
      needs: direction === "read" ? ["read"] : ["read", "write"],
      run: (world) => relay(world, direction),
    }),
  ),
  {
    suite: "blocks",
    name: "posted-again",
    title: "A prepared read that is posted again brings nothing, or what its blocks no longer hold.",
    needs: ["read"],
    run: postedAgain,
  },
]
