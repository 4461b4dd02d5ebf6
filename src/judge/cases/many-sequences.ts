import { setTimeout as sleep } from "node:timers/promises"
import { longCache } from "./blocks.ts"
import type { JudgeCase } from "./case.ts"
import { hold, NotSupported } from "./case-failed.ts"
import { mustStillWork, runToItsEnd } from "./faults/large.ts"
import { postAll } from "./large-lists.ts"
import { randomTable } from "./tables.ts"
import type { Transfer } from "./transfer.ts"
import { firstBlock, type Pair, pairOf, smallCache, type World } from "./world.ts"

/** More than 8 bits can count. */
const together = 290

/** Hundreds of requests begin in one moment: each is answered, and brings its own blocks. */
async function hundredsAtOnce(world: World): Promise<void> {
  const { random, engine } = world
  // kvferry's short way: what it asks the source for each of them is asked at the same time, too.
  const own = engine.family === "kvferry" ? { options: { pull: true } } : {}
  const pair = await pairOf(world, { level: "blocks", cache: { ...smallCache, blocks: 700 }, ...own })
  const { scene, source, target } = pair
  const tickets = new Set<string>()
  for (let round = 0; round < 2; round++) {
    await scene.renew(source, "pattern")
    const places = random.distinct(2 * together, firstBlock, target.cache.blocks)
    const transfers: Transfer[] = []
    for (let i = 0; i < together; i++) {
      const tokens = random.between(1, 2 * source.cache.blockTokens)
      const tables = {
        sourceBlocks: randomTable(random, source, tokens),
        targetBlocks: places.slice(2 * i, 2 * i + Math.ceil(tokens / target.cache.blockTokens)),
        tokens,
      }
      transfers.push(await scene.prepareSequence(source, target, tables, { direction: "read" }))
    }
    await postAll(target, transfers)
    for (const transfer of random.shuffled(transfers)) {
      const { receipt } = await transfer.done()
      await transfer.release()
      const ticket = receipt?.sequence?.ticket
      hold(ticket === undefined || !tickets.has(ticket), "receipt", `two transfers are both called ${ticket}`)
      if (ticket !== undefined) tickets.add(ticket)
    }
    await scene.check()
    target.poisonAgain()
  }
}

/** So many are prepared at the same time. */
const heldAtOnce = 160
const blocksEach = 48

/**
 * Hundreds are prepared, some are posted, and all are forgotten, several times, and what each needs grows: nothing of those that
 * were forgotten stands in the way of the next ones.
 */
async function preparedAndForgotten(world: World): Promise<void> {
  const pair = await pairOf(world, { level: "blocks", cache: longCache })
  const { scene, source, target } = pair
  const { random } = world
  const tokens = blocksEach * source.cache.blockTokens
  for (const within of [1000, 2000, 3000, 4000]) {
    const transfers: Transfer[] = []
    for (let i = 0; i < heldAtOnce; i++) {
      const sourceBlocks = random.distinct(blocksEach, firstBlock, within)
      const targetBlocks = random.distinct(blocksEach, firstBlock, within)
      transfers.push(
        await scene.prepareSequence(
          source,
          target,
          { sourceBlocks, targetBlocks, tokens },
          { direction: "read" },
        ),
      )
    }
    for (const [i, transfer] of random.shuffled(transfers).entries()) {
      if (i % 20 === 0) {
        await transfer.post()
        await transfer.done()
        await scene.check()
        target.poisonAgain()
      }
      await transfer.release()
    }
  }
  await mustStillWork(world, pair, "blocks")
}

/** More than the questions that anybody answers at once. */
const refusals = 12

/** What was refused many times leaves nothing behind: the next good transfer works as ever. */
async function refusedManyTimes(world: World): Promise<void> {
  const pair = await pairOf(world, { level: "blocks" })
  const { scene, source, target } = pair
  for (let time = 0; time < refusals; time++) {
    const sourceBlocks = randomTable(world.random, source, 5 * source.cache.blockTokens)
    const targetBlocks = randomTable(world.random, target, 5 * source.cache.blockTokens)
    const tables = { sourceBlocks, targetBlocks, tokens: 5 * source.cache.blockTokens }
    const transfer = await scene.prepareSequence(source, target, tables, { direction: "read" })
    await source.driver.ask("withdraw", { offer: transfer.offer })
    await scene.reuse(source, sourceBlocks)
    const end = await runToItsEnd(transfer)
    hold(end?.state !== "done", "no-error", "a read of what was taken back was called done")
    transfer.fail()
    await transfer.release()
    await scene.check()
    target.poisonAgain()
  }
  await mustStillWork(world, pair, "blocks")
}

/** More than one sign of life can name. */
const leases = 4200
const keptMillis = 2500
/** What the default run spends on preparing them. */
const prepareMillisMax = 30_000

/** Thousands of leases are held, much longer than one lasts without a sign of life: all of them are kept. */
async function thousandsHeld(world: World): Promise<void> {
  if (world.engine.family !== "kvferry") throw new NotSupported("its driver has no such option")
  const pair = await pairOf(world, {
    level: "blocks",
    cache: smallCache,
    options: { holdMillis: keptMillis, integrity: "epoch" },
  })
  const { scene, source, target } = pair
  const transfers: Transfer[] = []
  const begun = performance.now()
  for (let i = 0; i < leases; i++) {
    transfers.push(await prepareOne(world, pair))
    const millis = ((performance.now() - begun) / (i + 1)) * leases
    if (i === 200 && millis > prepareMillisMax && world.effort !== "long")
      throw new NotSupported(
        `${leases} leases take about ${Math.round(millis / 1000)} s here; --long does them`,
      )
  }
  await sleep(1.6 * keptMillis)
  const some = [0, leases - 1, leases - 2, ...world.random.distinct(20, 1, leases - 2)]
  for (const i of some) {
    await transfers[i]!.run()
    await scene.check()
    target.poisonAgain()
  }
  for (const [i, transfer] of transfers.entries()) if (!some.includes(i)) await transfer.release()
  await mustStillWork(world, { scene, source, target }, "blocks")
}

async function prepareOne({ random }: World, { scene, source, target }: Pair): Promise<Transfer> {
  const tokens = source.cache.blockTokens
  const tables = {
    sourceBlocks: randomTable(random, source, tokens),
    targetBlocks: randomTable(random, target, tokens),
    tokens,
  }
  return await scene.prepareSequence(source, target, tables, { direction: "read" })
}

/** Sequences by their hundreds: what is counted, numbered, or put aside for each of them. */
export const manySequences: readonly JudgeCase[] = [
  {
    suite: "load",
    name: "hundreds-at-once",
    title: "Hundreds of requests that begin in one moment get each other's answers, or none.",
    needs: ["read", "concurrent"],
    run: hundredsAtOnce,
  },
  {
    suite: "lifecycle",
    name: "prepared-and-forgotten",
    title: "A server that has prepared many requests has no room for the next one, though they are all gone.",
    needs: ["read", "blocks"],
    run: preparedAndForgotten,
  },
  {
    suite: "faults",
    name: "refused-many-times",
    title: "After a dozen requests that had to fail, good ones fail too.",
    needs: ["read", "blocks", "epochs"],
    run: refusedManyTimes,
  },
  {
    suite: "lifecycle",
    name: "thousands-held",
    title: "A decode worker that waits with thousands of requests loses the last of them.",
    needs: ["read", "blocks", "epochs"],
    run: thousandsHeld,
  },
]
