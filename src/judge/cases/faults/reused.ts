import { setTimeout as sleep } from "node:timers/promises"
import { longCache } from "../blocks.ts"
import type { JudgeCase } from "../case.ts"
import { hold } from "../case-failed.ts"
import type { SequenceTables } from "../pieces.ts"
import type { Scene } from "../scene.ts"
import { randomTables } from "../tables.ts"
import type { Transfer } from "../transfer.ts"
import { pairOf, type World } from "../world.ts"
import { largeCache, refusalOf } from "./large.ts"

/** One block of the table goes to another request before the read: whichever it is, the read fails. */
async function oneReused(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const count = 9
  for (let position = 0; position < count; position++) {
    const tables = randomTables(world.random, source, target, count * source.cache.blockTokens - position)
    // It has changed hands once; or as often as a counter of 8 bits takes to look as before.
    await mustNotice(scene, tables, [position], position === count - 2 ? 256 : 1)
  }
}

/** The same in a table of thousands of blocks. */
async function oneOfManyReused(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks", cache: longCache })
  const count = 4100
  for (const position of [count - 1, 255, 256, 1024, 4096]) {
    const tables = randomTables(world.random, source, target, count * source.cache.blockTokens)
    await mustNotice(scene, tables, [position])
  }
}

/** Reads after blocks at these positions were given to another request: it must not be called done. */
async function mustNotice(
  scene: Scene,
  tables: SequenceTables,
  positions: readonly number[],
  times = 1,
): Promise<void> {
  const [source, target] = scene.agents
  const transfer = await scene.prepareSequence(source!, target!, tables, { direction: "read" })
  const blocks = positions.map((position) => tables.sourceBlocks[position]!)
  for (let time = 1; time < times; time++) await source!.driver.ask("reuse", { blocks })
  await scene.reuse(source!, blocks)
  const refused = await refusalOf(transfer.post())
  if (refused === undefined) {
    const { state } = await transfer.end()
    const what = `block ${positions.map((position) => position + 1).join(", ")} of ${tables.sourceBlocks.length} was given to another request`
    hold(state !== "done", "no-error", `${what} before they were read, and the transfer was called done`)
    transfer.fail()
  }
  await transfer.release()
  await scene.check()
  target!.poisonAgain()
}

/** Blocks go to another request while they are read: failed, or all bytes of the first one; never a mix called done. */
async function reusedUnderWay(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks", cache: largeCache })
  const count = 240
  for (let round = 0; round < world.rounds(6); round++) {
    const tables = randomTables(world.random, source, target, count * largeCache.blockTokens)
    const transfer = await scene.prepareSequence(source, target, tables, { direction: "read" })
    const posting = refusalOf(transfer.post())
    if (round > 0) await sleep(round)
    // The last blocks first: they are the likeliest not to have been read yet.
    const taken = tables.sourceBlocks.slice(world.random.below(count))
    await scene.reuse(source, taken)
    if ((await posting) === undefined) settle(transfer, await transfer.end())
    else transfer.fail()
    await scene.check()
    target.poisonAgain()
  }
}

function settle(transfer: Transfer, end: Awaited<ReturnType<Transfer["end"]>>): void {
  // What it has to bring is what was there when it was posted.
  if (end.state === "done") transfer.land()
  else transfer.fail()
}

export const reused: readonly JudgeCase[] = [
  {
    suite: "faults",
    name: "one-block-reused",
    title:
      "A block that was given to another request before it was read ends up in a prompt that it does not belong to.",
    needs: ["blocks", "read", "epochs"],
    run: oneReused,
  },
  {
    suite: "faults",
    name: "one-of-many-reused",
    title: "In a prompt of thousands of blocks, one that was given to another request is not noticed.",
    needs: ["blocks", "read", "epochs"],
    run: oneOfManyReused,
  },
  {
    suite: "faults",
    name: "reused-under-way",
    title: "Blocks that change hands during a read arrive half old, half new, and nobody notices.",
    needs: ["blocks", "read", "epochs"],
    run: reusedUnderWay,
  },
]
