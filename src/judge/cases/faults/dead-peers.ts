import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "../case.ts"
import { hold } from "../case-failed.ts"
import type { Transfer } from "../transfer.ts"
import { middleCache, type World } from "../world.ts"
import { freshPair, holdToItsWord, largeCache, mustStillWork, prepareLarge, refusalOf } from "./large.ts"

/** Long: it is the death that must end a transfer, not its deadline. */
const deadlineMillis = 20_000
/** How soon it must, on a machine that is busy with others. */
const soonMillis = 8000

/** The other side is killed while bytes move: the transfer ends, soon, and has not done what it says it has not. */
async function killed(world: World, level: "pieces" | "blocks", direction: "read" | "write"): Promise<void> {
  for (const delayMillis of [0, 2, 6].slice(0, world.rounds(2))) {
    const pair = await freshPair(world, level)
    const { scene, source, target } = pair
    const transfer = await prepareLarge(world, pair, level, { direction })
    const victim = direction === "read" ? source : target
    const posting = refusalOf(transfer.post(deadlineMillis))
    if (delayMillis > 0) await sleep(delayMillis)
    await victim.driver.kill()
    const refused = await posting
    if (refused === undefined) await endOf(transfer, direction)
    else transfer.fail()
    await scene.check()
  }
}

async function endOf(transfer: Transfer, direction: "read" | "write"): Promise<void> {
  const end = await transfer.end()
  holdToSoon(end.millis)
  // Into a process that is no more, whatever was written is gone: there is nothing to hold a write to.
  if (direction === "write") return transfer.fail()
  await holdToItsWord(transfer, end)
}

function holdToSoon(millis: number): void {
  const text = `a transfer with a dead peer took ${Math.round(millis)} ms to end`
  hold(millis < soonMillis, "hang", text)
}

/** Dead before it is asked: an error, or all the right bytes where they can still be had; never something else. */
async function deadBefore(world: World, level: "pieces" | "blocks"): Promise<void> {
  const pair = await freshPair(world, level, middleCache)
  const { scene, source } = pair
  const transfer = await prepareLarge(world, pair, level, { direction: "read" })
  await source.driver.kill()
  await sleep(50)
  const refused = await refusalOf(transfer.post(deadlineMillis))
  if (refused === undefined) {
    const end = await transfer.end()
    holdToSoon(end.millis)
    await holdToItsWord(transfer, end)
  } else transfer.fail()
  await scene.check()
}

/** A source comes back under its name, with other content in its memory: nothing of the old one is read. */
async function restarted(world: World, level: "pieces" | "blocks"): Promise<void> {
  const pair = await freshPair(world, level, middleCache)
  const { scene, source, target } = pair
  const before = await prepareLarge(world, pair, level, { direction: "read" })
  await before.run()
  await scene.check()
  await source.driver.kill()
  const again = await world.reopen(scene, source)
  await scene.renew(again, "pattern")
  await mustStillWork(world, { scene, source: again, target }, level)
  // And once more, now that both know each other.
  await mustStillWork(world, { scene, source: again, target }, level)
}

/** The death of one peer costs nothing of what goes on with another. */
async function otherPeerLives(world: World): Promise<void> {
  const roles = ["prefill-0", "prefill-1"].map((name) => ({
    name,
    cache: middleCache,
    holds: "pattern" as const,
  }))
  const scene = await world.scene({
    level: "blocks",
    fresh: true,
    roles: [...roles, { name: "decode", cache: middleCache, holds: "poison" }],
  })
  const [victim, source, target] = [scene.agent("prefill-0"), scene.agent("prefill-1"), scene.agent("decode")]
  await mustStillWork(world, { scene, source: victim, target }, "blocks")
  await mustStillWork(world, { scene, source, target }, "blocks")
  await victim.driver.kill()
  for (let round = 0; round < 3; round++) {
    const began = performance.now()
    await mustStillWork(world, { scene, source, target }, "blocks")
    const millis = Math.round(performance.now() - began)
    hold(
      millis < 10_000,
      "hang",
      `after the death of one peer a small transfer from another one took ${millis} ms`,
    )
  }
}

/** The same at a source: the death of one that reads from it ends no transfer of another. */
async function otherReaderLives(world: World): Promise<void> {
  const readers = ["decode-0", "decode-1"].map((name) => ({
    name,
    cache: largeCache,
    holds: "poison" as const,
  }))
  const scene = await world.scene({
    level: "blocks",
    fresh: true,
    roles: [{ name: "prefill", cache: largeCache, holds: "pattern" }, ...readers],
  })
  const [source, victim, target] = [scene.agent("prefill"), scene.agent("decode-0"), scene.agent("decode-1")]
  await mustStillWork(world, { scene, source, target: victim }, "blocks")
  const transfer = await prepareLarge(world, { scene, source, target }, "blocks", { direction: "read" })
  await transfer.post(deadlineMillis)
  await victim.driver.kill()
  await transfer.done()
  await scene.check([source, target])
  await mustStillWork(world, { scene, source, target }, "blocks")
}

export const deadPeers: readonly JudgeCase[] = [
  ...(["pieces", "blocks"] as const).flatMap((level) =>
    (["read", "write"] as const).map(
      (direction): JudgeCase => ({
        suite: "faults",
        name: `killed-${level}-${direction}`,
        title:
          "A host that dies in mid-transfer hangs the others, or half a prompt is taken for a whole one.",
        needs: [direction, "peer-death"],
        run: (world) => killed(world, level, direction),
      }),
    ),
  ),
  ...(["pieces", "blocks"] as const).map(
    (level): JudgeCase => ({
      suite: "faults",
      name: `dead-before-${level}`,
      title: "A transfer from a host that is gone waits for ever.",
      needs: ["read", "peer-death"],
      run: (world) => deadBefore(world, level),
    }),
  ),
  ...(["pieces", "blocks"] as const).map(
    (level): JudgeCase => ({
      suite: "faults",
      name: `restarted-${level}`,
      title: "After a restart of the source, decode goes on with what the old process had in memory.",
      needs: ["read"],
      run: (world) => restarted(world, level),
    }),
  ),
  {
    suite: "faults",
    name: "other-peer-lives",
    title: "One dead prefill worker stops the transfers from the living ones.",
    needs: ["read", "peers", "peer-death"],
    run: otherPeerLives,
  },
  {
    suite: "faults",
    name: "other-reader-lives",
    title: "One dead decode worker ends the transfers of the others.",
    needs: ["read", "peers", "peer-death"],
    run: otherReaderLives,
  },
]
