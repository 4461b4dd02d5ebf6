import type { JudgeCase } from "./case.ts"
import { layOut } from "./lay-out.ts"
import { randomTables } from "./tables.ts"
import { middleCache, type World } from "./world.ts"

const cache = { ...middleCache, blocks: 64 }

/** Sources and targets with other numbers of rails or streams, shared by the cases below. */
const roles = [
  ...[1, 2, 5].map((rails) => ({ name: `prefill-${rails}-rails`, cache, holds: "pattern" as const, rails })),
  ...[1, 3].map((rails) => ({ name: `decode-${rails}-rails`, cache, holds: "poison" as const, rails })),
]

/** From each source to each target: odd sums of bytes, single bytes, and pieces around the sizes at which they are cut. */
async function unequalRails(world: World, direction: "read" | "write"): Promise<void> {
  const scene = await world.scene({ level: "pieces", roles })
  for (const target of scene.agents.slice(3)) {
    for (const source of scene.agents.slice(0, 3)) {
      for (const lengths of [
        Array.from({ length: 37 }, () => world.random.between(1, 9000)),
        [1],
        [262_147, 3, 131_073, 65_535],
        Array.from({ length: 100 }, () => 16_384),
      ]) {
        const pieces = layOut(world.random, { lengths, source, target, align: 1 })
        await (await scene.prepare(source, target, pieces, { direction })).run()
        await scene.check([source, target])
        target.poisonAgain()
      }
    }
  }
}

/** Sequences over several rails, which cut blocks where it suits them: proven whole all the same. */
async function sequencesOverRails(world: World, direction: "read" | "write"): Promise<void> {
  const scene = await world.scene({ level: "blocks", roles })
  for (const target of scene.agents.slice(3)) {
    for (const source of scene.agents.slice(0, 3)) {
      for (const tokens of [60, 7, 33].map((blocks) => blocks * cache.blockTokens - world.random.below(9))) {
        const tables = randomTables(world.random, source, target, tokens)
        await scene.reuse(source, tables.sourceBlocks)
        await (await scene.prepareSequence(source, target, tables, { direction })).run()
        await scene.check([source, target])
        target.poisonAgain()
      }
    }
  }
}

/** The same places of several sources, in turn: each brings its own bytes. */
async function eachWithEach(world: World): Promise<void> {
  const scene = await world.scene({ level: "pieces", roles })
  const [sources, targets] = [scene.agents.slice(0, 3), scene.agents.slice(3)]
  const lengths = Array.from({ length: 30 }, () => world.random.between(1, 20_000))
  const pieces = layOut(world.random, { lengths, source: sources[0]!, target: targets[0]!, align: 1 })
  for (let round = 0; round < world.rounds(2); round++) {
    for (const source of sources) {
      for (const target of targets) {
        await (await scene.prepare(source, target, pieces, { direction: "read" })).run()
        await scene.check()
        target.poisonAgain()
      }
    }
  }
}

export const pairs: readonly JudgeCase[] = [
  {
    suite: "pairs",
    name: "unequal-rails",
    title: "Two hosts with other numbers of NICs exchange wrong keys, or lose a rail's part.",
    needs: ["pieces", "read", "peers"],
    run: (world) => unequalRails(world, "read"),
  },
  {
    suite: "pairs",
    name: "unequal-rails-write",
    title: "A host with other NICs than its peer writes past it, or loses a rail's part.",
    needs: ["pieces", "write", "peers"],
    run: (world) => unequalRails(world, "write"),
  },
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "pairs",
      name: `sequences-${direction}`,
      title: "A block that two NICs have shared between them is put together wrong, or its proof fails.",
      needs: [direction, "blocks", "peers"],
      run: (world) => sequencesOverRails(world, direction),
    }),
  ),
  {
    suite: "pairs",
    name: "each-with-each",
    title: "An agent that knows several peers reads from the wrong one.",
    needs: ["pieces", "read", "peers"],
    run: eachWithEach,
  },
]
