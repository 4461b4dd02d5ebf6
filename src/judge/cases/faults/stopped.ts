import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises"
import type { JudgeCase } from "../case.ts"
import { hold } from "../case-failed.ts"
import { layOut } from "../lay-out.ts"
import type { Transfer } from "../transfer.ts"
import { firstBlock, pairOf, smallCache, type World } from "../world.ts"
import {
  freshPair,
  holdToItsWord,
  largeCache,
  mustBeQuiet,
  mustStillWork,
  prepareHalves,
  prepareLarge,
  prepareParts,
  refusalOf,
  watchMillis,
} from "./large.ts"

type Level = "pieces" | "blocks"
/** How long what a writer has sent may be under way, on one machine. */
const underWayMillis = 1000
/** Long: it is the cancel that must end a transfer, not its deadline. */
const deadlineMillis = 20_000
/** How soon it must, on a machine that is busy with others. */
const soonMillis = 8000
/** Blocks of transfers that are small: of few pieces and some kilobytes, for which engines have ways of their own. */
const smallParts = [1, 4, 20]
/** How long a host hangs that is to go on. */
const momentMillis = 60

/** A peer that neither answers nor dies: each transfer ends by its own deadline, and nothing of it comes later. */
async function stopped(world: World, level: Level, delayMillis: number, small = false): Promise<void> {
  const pair = await freshPair(world, level, small ? smallCache : undefined)
  const { scene, source, target } = pair
  const options = { direction: "read" } as const
  const several = target.capabilities.includes("concurrent")
  const transfers = small
    ? await prepareParts(world, pair, level, several ? smallParts : smallParts.slice(0, 1), options)
    : several
      ? await prepareHalves(world, pair, level, options)
      : [await prepareLarge(world, pair, level, options)]
  if (delayMillis === 0) source.driver.pause()
  try {
    const postings = transfers.map((transfer, i) => refusalOf(transfer.post(1500 - 500 * i)))
    if (delayMillis > 0) {
      await sleep(delayMillis)
      source.driver.pause()
    }
    for (const [i, transfer] of transfers.entries()) {
      if ((await postings[i]) === undefined) await holdToItsWord(transfer, await transfer.end())
      else transfer.fail()
    }
    await scene.check()
    // The blocks belong to somebody else now.
    target.poisonAgain()
  } finally {
    source.driver.resume()
  }
  await mustBeQuiet(world, pair, source, level)
}

/** The other side is held up for moments, again and again, as on a machine that has too much to do: all arrives all the same. */
async function faltering(world: World, direction: "read" | "write"): Promise<void> {
  const pair = await pairOf(world, { level: "pieces", fresh: true })
  const { scene, source, target } = pair
  const { driver } = direction === "read" ? source : target
  const { random } = world
  for (let round = 0; round < world.rounds(24); round++) {
    // Small transfers take ways of their own: up to 64 KiB, say, and just there.
    const count = random.pick([1, 2, 4, 16, 17, 100])
    const short = random.below(2) === 0
    const lengths = Array.from({ length: count }, () =>
      short ? Math.floor(65_536 / count) : random.pick([100, 4000, Math.floor(1_500_000 / count)]),
    )
    const pieces = layOut(random, { lengths, source, target, align: 1 })
    const transfer = await scene.prepare(source, target, pieces, { direction })
    let over = false
    const holding = (async () => {
      while (!over) {
        driver.pause()
        await sleep(1)
        driver.resume()
        await sleep(1)
      }
    })()
    try {
      await transfer.run()
    } finally {
      over = true
      await holding
    }
    await scene.check()
    target.poisonAgain()
  }
}

/** How many pieces of a transfer have begun to arrive, by the first bytes of each. */
function begun(transfer: Transfer): () => number {
  let left = transfer.pieces.map(({ targetRegion, targetOffset, length }) => ({
    now: transfer.to.memory(targetRegion).subarray(targetOffset, targetOffset + Math.min(8, length)),
    before: transfer.to.expected[targetRegion]!.slice(targetOffset, targetOffset + Math.min(8, length)),
  }))
  return () => {
    left = left.filter(({ now, before }) => now.every((byte, i) => byte === before[i]))
    return transfer.pieces.length - left.length
  }
}

/** The other side hangs when nearly all is there: what it has not yet sent or taken is not done, however little it is. */
async function nearTheEnd(world: World, direction: "read" | "write"): Promise<void> {
  const pair = await freshPair(world, "pieces")
  const { scene, source, target } = pair
  const { driver } = direction === "read" ? source : target
  const { random } = world
  for (let round = 0; round < world.rounds(24); round++) {
    const blocks = random.between(60, source.cache.blocks - firstBlock)
    const options = { direction, withoutNote: true } as const
    const [transfer] = (await prepareParts(world, pair, "pieces", [blocks], options)) as [Transfer]
    const count = transfer.pieces.length
    const enough = count - random.between(1, Math.ceil(count / 8))
    const arrived = begun(transfer)
    let over = false
    const ending = transfer.post().then(async () => {
      const end = await transfer.end()
      over = true
      return end
    })
    ending.catch(() => {
      over = true
    })
    try {
      while (!over && arrived() < enough) await turn()
      driver.pause()
      await sleep(momentMillis)
      if (over) {
        transfer.mustBe(await ending, "done")
        transfer.land()
        await scene.check([target])
      }
    } finally {
      driver.resume()
    }
    if (!over) {
      transfer.mustBe(await ending, "done")
      transfer.land()
    }
    await scene.check()
    await transfer.release()
    target.poisonAgain()
  }
}

/** A deadline that passes while bytes move. */
async function deadline(world: World, level: Level): Promise<void> {
  const pair = await pairOf(world, { level, cache: largeCache })
  const { scene, target } = pair
  for (const millis of [1, 2, 5, 10]) {
    const transfer = await prepareLarge(world, pair, level, { direction: "read" })
    const refused = await refusalOf(transfer.post(millis))
    const end = refused === undefined ? await transfer.end() : undefined
    if (end !== undefined) await holdToItsWord(transfer, end)
    // To look at all of it takes long: what goes on writing would be through by then. Its next owner is there at once.
    if (end?.state === "done" || millis === 10) await scene.check()
    target.poisonAgain()
    await sleep(watchMillis / 3)
    await scene.check()
  }
  await sleep(watchMillis)
  await scene.check()
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
  const { target } = pair
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
  await mustBeQuiet(world, pair, target, "blocks")
}

/** Taken back while its peer hangs: it ends then, and not at its deadline. */
async function cancelledInVain(world: World, level: Level, small = false): Promise<void> {
  const pair = await freshPair(world, level, small ? smallCache : undefined)
  const { scene, source, target } = pair
  const parts = small ? smallParts.slice(0, 1) : [source.cache.blocks - firstBlock]
  const options = { direction: "read" } as const
  const [transfer] = (await prepareParts(world, pair, level, parts, options)) as [Transfer]
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
  await mustBeQuiet(world, pair, source, level)
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
      name: `stopped-before-small-${level}`,
      title: "A small request to a host that hangs takes a way of its own, on which nothing ends it.",
      needs: ["read", "deadline"],
      run: (world) => stopped(world, level, 0, true),
    }),
  ),
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "faults",
      name: `stopped-near-the-end-${direction}`,
      title: "A transfer is called done while its last part lies at a host that hangs.",
      needs: ["pieces", direction],
      run: (world) => nearTheEnd(world, direction),
    }),
  ),
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "faults",
      name: `faltering-${direction}`,
      title: "A host that is held up in the midst of an answer gets the rest of it wrong.",
      needs: ["pieces", direction],
      run: (world) => faltering(world, direction),
    }),
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
  ...levels.map(
    (level): JudgeCase => ({
      suite: "faults",
      name: `cancelled-in-vain-small-${level}`,
      title: "A small request to a host that hangs cannot be taken back, and its blocks stay taken.",
      needs: ["read", "cancel"],
      run: (world) => cancelledInVain(world, level, true),
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
