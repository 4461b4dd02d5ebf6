import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "../case.ts"
import { CaseFailed, hold } from "../case-failed.ts"
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
    const transfer = await scene.prepareSequence(source, target, tables, { direction: "read" })
    const block = tables.sourceBlocks[position]!
    await scene.reuse(source, [block])
    const refused = await refusalOf(transfer.post())
    if (refused === undefined) {
      const { state } = await transfer.end()
      const what = `block ${position + 1} of ${count} was given to another request before they were read`
      hold(state !== "done", "no-error", `${what}, and the transfer was called done`)
      transfer.fail()
    }
    await scene.check()
    target.poisonAgain()
  }
}

/** All bytes of a sequence change after they were lent: also a proof of samples must see that. */
async function tamperedWholly(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const tables = randomTables(world.random, source, target, 30 * source.cache.blockTokens)
  const transfer = await scene.prepareSequence(source, target, tables, {
    direction: "read",
    integrity: "sampled",
  })
  await sleep(sealMillis)
  source.fillBlocks(tables.sourceBlocks)
  const refused = await refusalOf(transfer.post())
  const end = refused === undefined ? await transfer.end() : undefined
  hold(
    end?.state !== "done",
    "no-error",
    "all bytes of a sequence changed after it was lent, and the transfer was called done with proof by samples",
  )
  transfer.fail()
  await scene.check()
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

const sealMillis = 150

/** One byte of the source's blocks changes after they were lent, without a word: a proof must see it. */
async function tampered(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { random } = world
  const count = 7
  for (let round = 0; round < world.rounds(8); round++) {
    const tokens = count * source.cache.blockTokens
    const tables = randomTables(random, source, target, tokens)
    const transfer = await scene.prepareSequence(source, target, tables, {
      direction: "read",
      integrity: "full",
    })
    // It may prove what it has seen when the blocks were lent: that takes a moment.
    await sleep(sealMillis)
    // The very last unit first: it is the one that a loop forgets.
    const position = count - 1 - (round < count ? round : random.below(count))
    const layer = source.cache.layers - 1 - (round % source.cache.layers)
    const offset = tables.sourceBlocks[position]! * source.blockBytes + random.below(source.blockBytes)
    const memory = source.memory(layer)
    memory[offset]! ^= 1 << random.below(8)
    const refused = await refusalOf(transfer.post())
    const end = refused === undefined ? await transfer.end() : undefined
    memory[offset] = source.expected[layer]![offset]!
    if (end?.state === "done") {
      throw new CaseFailed({
        kind: "no-error",
        cause: "tampered",
        text: `one bit of layer ${layer}, block ${position + 1} of ${count} changed after it was lent, and the transfer was called done with proof`,
      })
    }
    transfer.fail()
    await scene.check()
    target.poisonAgain()
  }
}

/**
 * A sequence is written twice, and one bit of the source changes in between, without a word: the blocks were not given to
 * anybody, so what was proven the first time is what must arrive.
 */
async function tamperedWrite(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { random } = world
  const count = 7
  for (let round = 0; round < world.rounds(6); round++) {
    const tokens = count * source.cache.blockTokens
    const options = { direction: "write", integrity: "full" } as const
    const first = randomTables(random, source, target, tokens)
    await scene.reuse(source, first.sourceBlocks)
    await (await scene.prepareSequence(source, target, first, options)).run()
    await scene.check()
    target.poisonAgain()
    const { targetBlocks } = randomTables(random, source, target, tokens)
    const transfer = await scene.prepareSequence(source, target, { ...first, targetBlocks }, options)
    const position = count - 1 - (round % count)
    const layer = source.cache.layers - 1 - (round % source.cache.layers)
    const offset = first.sourceBlocks[position]! * source.blockBytes + random.below(source.blockBytes)
    const memory = source.memory(layer)
    memory[offset]! ^= 1 << random.below(8)
    const refused = await refusalOf(transfer.post())
    const end = refused === undefined ? await transfer.end() : undefined
    memory[offset] = source.expected[layer]![offset]!
    if (end?.state === "done") {
      throw new CaseFailed({
        kind: "no-error",
        cause: "tampered",
        text: `one bit of layer ${layer}, block ${position + 1} of ${count} changed at the source after the blocks were sealed, and their write was called done with proof`,
      })
    }
    const proof = end?.receipt?.integrity ?? ""
    hold(!/identical/.test(proof), "receipt", `a write of changed bytes has a receipt that says ${proof}`)
    transfer.fail()
    await scene.check()
    target.poisonAgain()
  }
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
    name: "reused-under-way",
    title: "Blocks that change hands during a read arrive half old, half new, and nobody notices.",
    needs: ["blocks", "read", "epochs"],
    run: reusedUnderWay,
  },
  {
    suite: "faults",
    name: "tampered",
    title: "A damaged byte at the source reaches the model in spite of the proof.",
    needs: ["blocks", "read", "integrity"],
    run: tampered,
  },
  {
    suite: "faults",
    name: "tampered-wholly",
    title: "A damaged prompt reaches the model in spite of the proof by samples.",
    needs: ["blocks", "read", "integrity"],
    run: tamperedWholly,
  },
  {
    suite: "faults",
    name: "tampered-write",
    title: "Blocks that were damaged at the writer reach the model in spite of the proof.",
    needs: ["blocks", "write", "epochs", "integrity"],
    run: tamperedWrite,
  },
]
