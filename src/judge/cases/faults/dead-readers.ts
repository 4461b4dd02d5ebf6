import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "../case.ts"
import type { JudgedAgent } from "../judged-agent.ts"
import { randomTables } from "../tables.ts"
import type { Transfer } from "../transfer.ts"
import { middleCache, type World } from "../world.ts"

/** By then the source has heard of a death. */
const heardMillis = 500

/** One of two readers dies with a read in hand: what the other one was lent is still its own, and so is what it is lent next. */
async function otherReaderDies(world: World): Promise<void> {
  const scene = await world.scene({
    level: "blocks",
    fresh: true,
    roles: [
      { name: "prefill", cache: middleCache, holds: "pattern" },
      ...["decode-0", "decode-1"].map((name) => ({ name, cache: middleCache, holds: "poison" as const })),
    ],
  })
  const [source, victim, target] = [scene.agent("prefill"), scene.agent("decode-0"), scene.agent("decode-1")]
  const prepare = async (reader: JudgedAgent): Promise<Transfer> => {
    const tables = randomTables(world.random, source, reader, 20 * source.cache.blockTokens)
    return await scene.prepareSequence(source, reader, tables, { direction: "read" })
  }
  await prepare(victim)
  const held = await prepare(target)
  await (await prepare(victim)).run()
  await victim.driver.kill()
  await sleep(heardMillis)
  await held.run()
  await scene.check()
  target.poisonAgain()
  await (await prepare(target)).run()
  await scene.check()
}

export const deadReaders: readonly JudgeCase[] = [
  {
    suite: "faults",
    name: "other-reader-dies",
    title: "The death of one decode worker takes away what another one was lent.",
    needs: ["read", "peers"],
    run: otherReaderDies,
  },
]
