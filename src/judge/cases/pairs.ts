import type { JudgeCase } from "./case.ts"
import { layOut } from "./lay-out.ts"
import { middleCache, type World } from "./world.ts"

const railCounts = [
  [1, 2],
  [2, 1],
  [2, 3],
  [4, 4],
  [5, 3],
] as const

/** Agents with other numbers of rails or streams, each with each other. Odd sums of bytes, small and large pieces. */
async function unequalRails(
  world: World,
  [sourceRails, targetRails]: readonly [number, number],
): Promise<void> {
  const scene = await world.scene({
    level: "pieces",
    roles: [
      { name: "prefill", cache: middleCache, holds: "pattern", rails: sourceRails },
      { name: "decode", cache: middleCache, holds: "poison", rails: targetRails },
    ],
  })
  const [source, target] = [scene.agent("prefill"), scene.agent("decode")]
  for (const lengths of [
    [1],
    Array.from({ length: 37 }, () => world.random.between(1, 9000)),
    [262_147, 3, 131_073, 65_535],
    Array.from({ length: 128 }, () => 16_384),
  ]) {
    const pieces = layOut(world.random, { lengths, source, target, align: 1 })
    await (await scene.prepare(source, target, pieces, { direction: "read" })).run()
    await scene.check()
    target.poisonAgain()
  }
}

/** One target that reads from several sources, and one source that is read by several targets, one after the other. */
async function manyPeers(world: World): Promise<void> {
  const cache = { ...middleCache, blocks: 48 }
  const scene = await world.scene({
    level: "pieces",
    roles: [
      ...[0, 1, 2].map((n) => ({ name: `prefill-${n}`, cache, holds: "pattern" as const, rails: n + 1 })),
      ...[0, 1].map((n) => ({ name: `decode-${n}`, cache, holds: "poison" as const, rails: 2 - n })),
    ],
  })
  const [sources, targets] = [scene.agents.slice(0, 3), scene.agents.slice(3)]
  for (let round = 0; round < world.rounds(2); round++) {
    for (const [s, source] of sources.entries()) {
      for (const [t, target] of targets.entries()) {
        const lengths = Array.from({ length: 20 + s + t }, () => world.random.between(1, 20_000))
        const pieces = layOut(world.random, { lengths, source, target, align: 1 })
        await (await scene.prepare(source, target, pieces, { direction: "read" })).run()
        await scene.check()
        target.poisonAgain()
      }
    }
  }
}

export const pairs: readonly JudgeCase[] = [
  ...railCounts.map(
    (rails): JudgeCase => ({
      suite: "pairs",
      name: `rails-${rails.join("-to-")}`,
      title: `A prefill host with ${rails[0]} rails and a decode host with ${rails[1]} exchange wrong keys or lose a rail's part.`,
      needs: ["pieces", "read"],
      run: (world) => unequalRails(world, rails),
    }),
  ),
  {
    suite: "pairs",
    name: "each-with-each",
    title: "An agent that knows several peers reads from the wrong one.",
    needs: ["pieces", "read", "peers"],
    run: manyPeers,
  },
]
