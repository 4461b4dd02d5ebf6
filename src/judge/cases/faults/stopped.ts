import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "../case.ts"
import { hold } from "../case-failed.ts"
import { pairOf, type World } from "../world.ts"
import { freshPair, holdToItsWord, largeCache, mustStillWork, prepareLarge, refusalOf } from "./large.ts"

type Level = "pieces" | "blocks"
/** How long what a writer has sent may be under way, on one machine. */
const underWayMillis = 1000
/** Long: it is the cancel that must end a transfer, not its deadline. */
const deadlineMillis = 20_000
/** How soon it must, on a machine that is busy with others. */
const soonMillis = 8000
/** How long after the end of a transfer its target is watched. */
const watchMillis = 300

/** A peer that neither answers nor dies: the transfer ends by its deadline, and nothing of it comes later. */
async function stopped(world: World, level: Level, delayMillis: number): Promise<void> {
  const pair = await freshPair(world, level)
  const { scene, source, target } = pair
  const transfer = await prepareLarge(world, pair, level, { direction: "read" })
  if (delayMillis === 0) source.driver.pause()
  try {
    const posting = refusalOf(transfer.post(1500))
    if (delayMillis > 0) {
      await sleep(delayMillis)
      source.driver.pause()
    }
    if ((await posting) === undefined) await holdToItsWord(transfer, await transfer.end())
    else transfer.fail()
    await scene.check()
    // The blocks belong to somebody else now.
    target.poisonAgain()
  } finally {
    source.driver.resume()
  }
  await sleep(watchMillis)
  await scene.check()
  scene.forget(source)
  await mustStillWork(world, pair, level)
}

/** A deadline that passes while bytes move. */
async function deadline(world: World, level: Level): Promise<void> {
  const pair = await pairOf(world, { level, cache: largeCache })
  const { scene, target } = pair
  for (const millis of [1, 2, 5, 10]) {
    const transfer = await prepareLarge(world, pair, level, { direction: "read" })
    if ((await refusalOf(transfer.post(millis))) === undefined)
      await holdToItsWord(transfer, await transfer.end())
    await scene.check()
    target.poisonAgain()
    await sleep(watchMillis / 3)
    await scene.check()
  }
  await mustStillWork(world, pair, level)
}

/** Taken back while bytes move: from its end on nothing of it is written any more. */
async function cancelled(world: World, level: Level, direction: "read" | "write"): Promise<void> {
  const pair = await pairOf(world, { level, cache: largeCache })
  const { scene, target } = pair
  for (const delayMillis of [0, 1, 3, 8].slice(0, world.rounds(4))) {
    const transfer = await prepareLarge(world, pair, level, { direction })
    await transfer.post()
    if (delayMillis > 0) await sleep(delayMillis)
    await transfer.cancel()
    const end = await transfer.end()
    transfer.mustBe(end, "cancelled", "done", "failed")
    // A bare write has no owner at the other side that fences it off: what was on its way when it stopped may still land, for a
    // moment. Everything else has ended when it says so, and its blocks are at once somebody else's.
    if (level === "pieces" && direction === "write") await sleep(underWayMillis)
    await holdToItsWord(transfer, end)
    if (end.state === "done") await scene.check()
    target.poisonAgain()
    await sleep(watchMillis)
    await scene.check()
    await transfer.release()
    // A write that was cut off may have cost its connection: a new one is asked for, and must work.
    scene.forget(target)
  }
  await mustStillWork(world, pair, level)
}

/** A target that hangs keeps no writer longer than its deadline; when it comes back, its blocks are its own. */
async function stoppedTarget(world: World): Promise<void> {
  const pair = await freshPair(world, "blocks")
  const { scene, target } = pair
  const transfer = await prepareLarge(world, pair, "blocks", { direction: "write" })
  target.driver.pause()
  try {
    if ((await refusalOf(transfer.post(1500))) === undefined) transfer.holdClaim(await transfer.end())
  } finally {
    target.driver.resume()
  }
  // It cannot have heard of the end: it takes back what it has lent, and waits for what was on its way.
  await target.driver.ask("withdraw", { offer: transfer.offer })
  await sleep(underWayMillis)
  transfer.fail()
  target.poisonAgain()
  await sleep(watchMillis)
  await scene.check()
  scene.forget(target)
  await mustStillWork(world, pair, "blocks")
}

/** Taken back while its peer hangs: it ends then, and not at its deadline. */
async function cancelledInVain(world: World, level: Level): Promise<void> {
  const pair = await freshPair(world, level)
  const { scene, source, target } = pair
  const transfer = await prepareLarge(world, pair, level, { direction: "read" })
  source.driver.pause()
  try {
    const posting = refusalOf(transfer.post(deadlineMillis))
    await sleep(watchMillis)
    await transfer.cancel()
    const asked = performance.now()
    if ((await posting) === undefined) {
      const end = await transfer.end()
      const millis = performance.now() - asked
      hold(
        millis < soonMillis,
        "hang",
        `a transfer whose peer does not answer took ${Math.round(millis)} ms to end after it was cancelled`,
      )
      await holdToItsWord(transfer, end)
    } else transfer.fail()
    await scene.check()
    target.poisonAgain()
  } finally {
    source.driver.resume()
  }
  await sleep(watchMillis)
  await scene.check()
  scene.forget(source)
  await mustStillWork(world, pair, level)
}

const levels = ["pieces", "blocks"] as const

export const stoppedPeers: readonly JudgeCase[] = [
  ...levels.flatMap((level) =>
    (
      [
        ["stopped-before", 0],
        ["stopped-under-way", 2],
      ] as const
    ).map(
      ([name, delay]): JudgeCase => ({
        suite: "faults",
        name: `${name}-${level}`,
        title:
          "A host that hangs makes the others hang, and what it sends later overwrites the next request.",
        needs: ["read", "deadline"],
        run: (world) => stopped(world, level, delay),
      }),
    ),
  ),
  ...levels.map(
    (level): JudgeCase => ({
      suite: "faults",
      name: `deadline-${level}`,
      title: "A transfer whose deadline has passed goes on writing.",
      needs: ["read", "deadline"],
      run: (world) => deadline(world, level),
    }),
  ),
  {
    suite: "faults",
    name: "stopped-before-blocks-write",
    title: "A target that hangs makes its writers hang, and what they sent overwrites the next request.",
    needs: ["write", "blocks", "deadline"],
    run: stoppedTarget,
  },
  ...levels.map(
    (level): JudgeCase => ({
      suite: "faults",
      name: `cancelled-in-vain-${level}`,
      title: "A request to a host that hangs cannot be taken back, and its blocks stay taken.",
      needs: ["read", "cancel"],
      run: (world) => cancelledInVain(world, level),
    }),
  ),
  ...levels.flatMap((level) =>
    (["read", "write"] as const).map(
      (direction): JudgeCase => ({
        suite: "faults",
        name: `cancelled-${level}-${direction}`,
        title: "A cancelled request goes on writing into blocks that have been given away.",
        needs: [direction, "cancel"],
        run: (world) => cancelled(world, level, direction),
      }),
    ),
  ),
]
