import { sizeText } from "../../terminal/units.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { JudgeCase } from "./case.ts"
import { hold, NotSupported } from "./case-failed.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { layOut } from "./lay-out.ts"
import { randomTables } from "./tables.ts"
import { type Pair, pairOf, smallCache, type World } from "./world.ts"

/** What a process may keep of transfers that were forgotten: its allocator's slack, and pages of code first used. */
const growthBytesMax = 24 * 2 ** 20

async function resident({ driver }: JudgedAgent): Promise<number> {
  return (await driver.ask("usage", {})).residentBytes
}

/** Thousands of transfers are prepared and forgotten, a few are posted: the process does not grow with their number. */
async function prepareRelease(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces", cache: smallCache })
  const pieces = layOut(world.random, {
    lengths: Array.from({ length: 64 }, () => 512),
    source,
    target,
    align: 8,
  })
  const half = world.rounds(1000)
  const sizes: number[] = []
  for (let round = 0; round < 2 * half; round++) {
    const transfer = await scene.prepare(source, target, pieces, { direction: "read" })
    if (round % 25 !== 0) {
      await transfer.release()
      continue
    }
    await transfer.run()
    await scene.check()
    target.poisonAgain()
    if (round === half - (half % 25)) sizes.push(await resident(target))
  }
  const growth = (await resident(target)) - sizes[0]!
  hold(
    growth < growthBytesMax,
    "leak",
    `the process grew by ${sizeText(growth)} while ${half} transfers were prepared and forgotten`,
  )
}

/** A peer is forgotten and met again, many times. */
async function reconnect(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks", cache: smallCache, fresh: true })
  for (let round = 0; round < world.rounds(20); round++) {
    const tables = randomTables(world.random, source, target, world.random.between(1, 100))
    await scene.reuse(source, tables.sourceBlocks)
    await (await scene.prepareSequence(source, target, tables, { direction: "read" })).run()
    await scene.check()
    target.poisonAgain()
    await target.driver.ask("disconnect", { peer: source.name })
    scene.forget(source)
  }
}

const posts = 66_000
/** More than the queues of engines have places, of transfers too large for any shortcut around them. */
const largePosts = 4_200
const largeBytes = 2 ** 21 + 77
const chunks = 12
/** What the default run spends on it. */
const postsMillisMax = 25_000

/** More transfers than 16 bits can count, on one connection; the content changes now and then. */
async function manyPosts(world: World): Promise<void> {
  const pair = await pairOf(world, { level: "pieces", cache: smallCache })
  await again(world, pair, { lengths: [8, 24], align: 8 }, posts)
}

/** Large ones, in their thousands. */
async function manyLargePosts(world: World): Promise<void> {
  const pair = await pairOf(world, { level: "pieces" })
  await again(world, pair, { lengths: [largeBytes], align: 1 }, largePosts)
}

/** Posts one prepared transfer so often, and looks at its bytes from time to time. */
async function again(
  world: World,
  { scene, source, target }: Pair,
  { lengths, align }: { readonly lengths: readonly number[]; readonly align: number },
  count: number,
): Promise<void> {
  const pieces = layOut(world.random, { lengths, source, target, align })
  const transfer = await scene.prepare(source, target, pieces, { direction: "read" })
  const measured = async (rounds: number): Promise<number> => {
    source.fillAll()
    const args = { transfers: [transfer.number], rounds, millis: 0, pauseMicros: 0, threads: 1 }
    transfer.posted()
    const { micros } = await target.driver.ask("measure", args, { millis: 60_000 })
    hold(micros.length === rounds, "lied", `${rounds} rounds were asked for and ${micros.length} done`)
    transfer.land()
    await scene.check()
    target.poisonAgain()
    return micros.reduce((sum, each) => sum + each, 0) / 1000
  }
  const holdToTime = (millis: number): void => {
    if (millis <= postsMillisMax || world.effort === "long") return
    const seconds = Math.round(millis / 1000)
    throw new NotSupported(`${count} transfers take about ${seconds} s here; --long does them`)
  }
  const first = Math.min(300, count / 20)
  holdToTime(((await measured(first)) / first) * count)
  let spent = 0
  for (let chunk = 1; chunk <= chunks; chunk++) {
    spent += await measured(count / chunks)
    // Others may want the processors meanwhile: slow is not hung.
    holdToTime((spent / chunk) * chunks)
  }
  // Behind the turn of every counter: each one more with content of its own.
  for (let one = 0; one < 12; one++) await measured(1)
  await transfer.release()
}

/**
 * Hundreds are prepared at once, and posted in another order: each moves its own bytes. When all are forgotten, more come: what an
 * engine kept for the former is theirs.
 */
async function manyPrepared(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces", cache: smallCache })
  for (const count of [300, 450]) {
    const lengths = Array.from({ length: count }, () => world.random.between(1, 900))
    const pieces = layOut(world.random, { lengths, source, target, align: 1 })
    const transfers = []
    for (const piece of pieces)
      transfers.push(await scene.prepare(source, target, [piece], { direction: "read" }))
    for (const transfer of world.random.shuffled(transfers)) {
      await transfer.post()
      await transfer.done()
    }
    await scene.check()
    target.poisonAgain()
    // Some are forgotten; the others still know what is theirs.
    for (const [i, transfer] of transfers.entries()) if (i % 3 === 0) await transfer.release()
    for (const [i, transfer] of transfers.entries()) if (i % 3 !== 0) await transfer.run()
    await scene.check()
    target.poisonAgain()
  }
}

/** Two senders that call themselves by one name: refused, or kept apart. */
async function equalNames(world: World): Promise<void> {
  const roles = ["prefill-a", "prefill-b"].map((name) => ({
    name,
    callsItself: "prefill",
    cache: smallCache,
    holds: "pattern" as const,
  }))
  const scene = await world.scene({
    level: "pieces",
    fresh: true,
    roles: [...roles, { name: "decode", cache: smallCache, holds: "poison" }],
  })
  const [target] = scene.agents.slice(2)
  for (let round = 0; round < 3; round++) {
    for (const source of scene.agents.slice(0, 2)) {
      try {
        const lengths = Array.from({ length: 12 }, () => world.random.between(1, 5000))
        const pieces = layOut(world.random, { lengths, source, target: target!, align: 1 })
        const transfer = await scene.prepare(source, target!, pieces, { direction: "read" })
        await transfer.post()
        const end = await transfer.end()
        if (end.state === "done") transfer.land()
        else transfer.fail()
        await transfer.release()
      } catch (thrown) {
        if (!(thrown instanceof DriverFailed) || thrown.kind !== "error") throw thrown
      }
      await scene.check()
      target!.poisonAgain()
    }
  }
}

export const lifecycle: readonly JudgeCase[] = [
  {
    suite: "lifecycle",
    name: "prepare-release",
    title: "A server that runs for a week runs out of memory.",
    needs: ["pieces", "read"],
    run: prepareRelease,
  },
  {
    suite: "lifecycle",
    name: "reconnect",
    title: "After some hours of coming and going peers, a new connection reads from an old one's memory.",
    needs: ["read"],
    run: reconnect,
  },
  {
    suite: "lifecycle",
    name: "many-posts",
    title: "After 65,536 transfers their numbers begin anew, and one is taken for another.",
    needs: ["pieces", "read"],
    run: manyPosts,
  },
  {
    suite: "lifecycle",
    name: "many-large-posts",
    title: "After some thousand large transfers a place in a queue is used again, and one of them is lost.",
    needs: ["pieces", "read"],
    run: manyLargePosts,
  },
  {
    suite: "lifecycle",
    name: "many-prepared",
    title: "With hundreds of prepared transfers, one moves the bytes of another.",
    needs: ["pieces", "read"],
    run: manyPrepared,
  },
  {
    suite: "lifecycle",
    name: "equal-names",
    title: "Two workers that were started with one name are taken for each other.",
    needs: ["pieces", "read", "peers"],
    run: equalNames,
  },
]
