import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "../case.ts"
import { CaseFailed, hold } from "../case-failed.ts"
import type { Scene } from "../scene.ts"
import { middleCache, type World } from "../world.ts"
import { freshPair, holdToItsWord, mustStillWork, prepareLarge, refusalOf, watchMillis } from "./large.ts"

/** Memory that its owner took back is neither read nor written any more, by plans that were made before either. */
async function deregistered(world: World, direction: "read" | "write"): Promise<void> {
  const pair = await freshPair(world, "pieces", middleCache)
  const { scene, source, target } = pair
  const transfer = await prepareLarge(world, pair, "pieces", { direction })
  await mustStillWork(world, pair, "pieces")
  target.poisonAgain()
  const owner = direction === "read" ? source : target
  await owner.driver.ask("deregister", {})
  const refused = await refusalOf(transfer.post(5000))
  if (refused === undefined) {
    const end = await transfer.end()
    const what = `a ${direction} of memory that its owner had taken back was called done`
    hold(end.state !== "done", "no-error", what)
  }
  // Nothing was to be had: nothing may have come.
  await scene.check()
}

/** Memory is taken back while a transfer uses it: from then on its owner has it for something else. */
async function deregisteredUnderWay(world: World, direction: "read" | "write"): Promise<void> {
  const pair = await freshPair(world, "pieces")
  const { scene, source, target } = pair
  const transfer = await prepareLarge(world, pair, "pieces", { direction })
  const posting = refusalOf(transfer.post())
  await sleep(1)
  if (direction === "read") {
    await source.driver.ask("deregister", {})
    source.fillAll()
    // Called done it has brought what was there when it was posted, not what its owner has written since.
    if ((await posting) === undefined) await holdToItsWord(transfer, await transfer.end())
    else transfer.fail()
    await checkOrNewer(scene)
    return
  }
  await target.driver.ask("deregister", {})
  transfer.fail()
  target.poisonAgain()
  if ((await posting) === undefined) await transfer.end()
  await sleep(watchMillis)
  await scene.check()
}

/** Bytes of the memory's next user are no fault of the engine's copying, but of its word that nobody reads there any more. */
async function checkOrNewer(scene: Scene): Promise<void> {
  try {
    await scene.check()
  } catch (thrown) {
    if (!(thrown instanceof CaseFailed) || thrown.finding.cause !== "newer") throw thrown
    const what =
      "a read was called done that has brought what the owner wrote after it had taken the memory back"
    throw new CaseFailed({ kind: "no-error", text: `${what}: ${thrown.finding.text}` })
  }
}

export const takenBack: readonly JudgeCase[] = [
  {
    suite: "faults",
    name: "deregistered",
    title: "Memory that was given back is still read by a peer.",
    needs: ["pieces", "read", "deregister"],
    run: (world) => deregistered(world, "read"),
  },
  {
    suite: "faults",
    name: "deregistered-write",
    title: "Memory that was given back is still written to by a peer.",
    needs: ["pieces", "write", "deregister"],
    run: (world) => deregistered(world, "write"),
  },
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "faults",
      name: `deregistered-under-way-${direction}`,
      title: "Memory that is given back during a transfer is still in its hands when somebody else has it.",
      needs: ["pieces", direction, "deregister"],
      run: (world) => deregisteredUnderWay(world, direction),
    }),
  ),
]
