import type { JudgeCase } from "./case.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { layOut } from "./lay-out.ts"
import { type Transfer, timeoutMillisDefault } from "./transfer.ts"
import { middleCache, pairOf, smallCache, type World } from "./world.ts"

const wideCache = { ...middleCache, blocks: 700 }
/** Pieces that no power of two divides; together more than any request of a few MiB takes. */
const longLengths = [5_000_007, 2_500_003, 3_000_001, 1_000_003, 4_194_305]

/** Pieces of megabytes, whose edges lie inside the requests that an engine makes of them. */
async function longPieces(world: World, direction: "read" | "write"): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces", cache: wideCache })
  for (const lengths of [longLengths, longLengths.toReversed()]) {
    const pieces = layOut(world.random, { lengths, source, target, align: 1 })
    await (await scene.prepare(source, target, pieces, { direction })).run()
    await scene.check()
    target.poisonAgain()
  }
}

/** More than 8 bits can count; of more pieces than a shortcut for small transfers takes. */
const held = 280
const piecesEach = 17

/** Many prepared transfers at once, each posted twice, then all of them at the same time: none may take another one's place. */
async function manyPrepared(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces", cache: smallCache })
  const lengths = Array.from({ length: held * piecesEach }, () => 16)
  const all = layOut(world.random, { lengths, source, target, align: 8 })
  const transfers = []
  for (let i = 0; i < held; i++) {
    const pieces = all.slice(i * piecesEach, (i + 1) * piecesEach)
    transfers.push(await scene.prepare(source, target, pieces, { direction: "read" }))
  }
  for (let round = 0; round < 2; round++) {
    source.fillAll()
    for (const transfer of transfers) {
      await transfer.post()
      await transfer.done()
    }
    await scene.check()
    target.poisonAgain()
  }
  if (target.capabilities.includes("concurrent")) {
    await postAll(target, transfers)
    for (const transfer of world.random.shuffled(transfers)) await transfer.done()
    await scene.check()
    target.poisonAgain()
  }
  for (const transfer of transfers) await transfer.release()
}

/** Posts all at the same moment where the engine has a loop for that, and no thread for each of them. */
export async function postAll(poster: JudgedAgent, transfers: readonly Transfer[]): Promise<void> {
  if (poster.capabilities.includes("threads")) {
    for (const transfer of transfers) await transfer.post()
    return
  }
  for (const transfer of transfers) transfer.posted()
  const args = { transfers: transfers.map(({ number }) => number), timeoutMillis: timeoutMillisDefault }
  await poster.driver.ask("postTogether", args, { millis: 2 * timeoutMillisDefault })
}

/** Lists that are long in one way or the other. */
export const largeLists: readonly JudgeCase[] = [
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "shapes",
      name: `long-pieces-${direction}`,
      title: "A run of megabytes is cut into requests, and a part of it arrives twice or not at all.",
      needs: ["pieces", direction],
      run: (world) => longPieces(world, direction),
    }),
  ),
  {
    suite: "lifecycle",
    name: "many-prepared-lists",
    title: "With many prepared transfers one is posted in another's place.",
    needs: ["pieces", "read"],
    run: manyPrepared,
  },
]
