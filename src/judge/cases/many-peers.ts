import type { Level } from "../driver/protocol.ts"
import type { JudgeCase } from "./case.ts"
import { NotSupported } from "./case-failed.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { layOut } from "./lay-out.ts"
import type { Scene } from "./scene.ts"
import { randomTables } from "./tables.ts"
import type { Transfer } from "./transfer.ts"
import { smallCache, type World } from "./world.ts"

/** More than 8 bits can count, beside those that stay. */
const visits = 260
/** After so many it is known how long all of them take. */
const visitsTimed = 12
/** What the default run spends on it. */
const millisMax = 35_000
/** Whoever stays is asked again so often. */
const visitsBetween = 20

/**
 * One agent stays, and others come and go until more peers were met than 8 bits can number: none is taken for another.
 *
 * Three of them take turns, so that a number and the one 256 before it are never of the same peer.
 */
async function manyPeers(world: World, level: Level): Promise<void> {
  const scene = await world.scene({
    level,
    fresh: true,
    roles: [
      { name: "decode", cache: smallCache, holds: "poison" },
      ...["stays", "comes-a", "comes-b", "comes-c"].map((name) => ({
        name,
        cache: smallCache,
        holds: "pattern" as const,
      })),
    ],
  })
  const [target, stays, ...others] = scene.agents as [JudgedAgent, JudgedAgent, ...JudgedAgent[]]
  const again = await moveFrom(world, scene, stays, target)
  const kept = await again()
  const begun = performance.now()
  for (let visit = 0; visit < visits; visit++) {
    if (visit === visitsTimed) checkTime(world, ((performance.now() - begun) / visitsTimed) * visits)
    const guest = others[visit % others.length]!
    await (await (await moveFrom(world, scene, guest, target))()).run()
    await scene.check([target])
    target.poisonAgain()
    if (visit % visitsBetween === 0 || visit === visits - 1) {
      await kept.post()
      await kept.done()
      await scene.check()
      target.poisonAgain()
      await (await again()).run()
      await scene.check()
      target.poisonAgain()
    }
    await target.driver.ask("disconnect", { peer: guest.name })
    scene.forget(guest)
  }
  await kept.release()
}

/** Some engines take a second for each peer. */
function checkTime({ effort }: World, millis: number): void {
  if (millis <= millisMax || effort === "long") return
  throw new NotSupported(
    `${visits} peers that come and go take about ${Math.round(millis / 1000)} s here; --long does them`,
  )
}

/** Some bytes of an agent that are new, and how a transfer of them is prepared. */
async function moveFrom(
  world: World,
  scene: Scene,
  source: JudgedAgent,
  target: JudgedAgent,
): Promise<() => Promise<Transfer>> {
  if (scene.level === "pieces") {
    const pieces = layOut(world.random, { lengths: [8, 200, 1000], source, target, align: 8 })
    return () => scene.prepare(source, target, pieces, { direction: "read" })
  }
  const tokens = world.random.between(1, 2 * smallCache.blockTokens)
  const tables = randomTables(world.random, source, target, tokens)
  await scene.reuse(source, tables.sourceBlocks)
  return () => scene.prepareSequence(source, target, tables, { direction: "read" })
}

/** Over the hours of a server: more peers than it ever has at once. */
export const manyPeersCases: readonly JudgeCase[] = (["pieces", "blocks"] as const).map((level) => ({
  suite: "lifecycle",
  name: `many-peers-${level}`,
  title: "After 256 peers have come and gone, a new one is taken for one that has stayed.",
  needs: level === "pieces" ? ["pieces", "read", "peers"] : ["read", "peers"],
  run: (world) => manyPeers(world, level),
}))
