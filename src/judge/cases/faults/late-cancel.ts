import type { JudgeCase } from "../case.ts"
import { hold } from "../case-failed.ts"
import { pairOf, type World } from "../world.ts"
import { largeCache, mustStillWork, prepareLarge, refusalOf } from "./large.ts"

/** A transfer that has ended is taken back while the next one is under way: that one must not hear of it. */
async function cancelledTooLate(world: World, level: "pieces" | "blocks"): Promise<void> {
  const pair = await pairOf(world, { level, cache: largeCache })
  const { scene, target } = pair
  for (let round = 0; round < world.rounds(4); round++) {
    const [first, second] = [
      await prepareLarge(world, pair, level, { direction: "read" }),
      await prepareLarge(world, pair, level, { direction: "read" }),
    ]
    await first.post()
    await first.done()
    target.poisonAgain()
    await second.post()
    // Refused, or without any effect.
    await refusalOf(first.cancel())
    const end = await second.end()
    hold(
      end.state !== "cancelled",
      "error",
      "a transfer that had ended was cancelled, and another one ended as cancelled",
    )
    second.mustBe(end, "done")
    second.land()
    await scene.check()
    target.poisonAgain()
    await second.release()
    await refusalOf(first.release())
  }
  await mustStillWork(world, pair, level)
}

export const lateCancel: readonly JudgeCase[] = (["pieces", "blocks"] as const).map((level) => ({
  suite: "faults",
  name: `cancelled-too-late-${level}`,
  title: "A request that is taken back after its end takes another one with it.",
  needs: ["read", "cancel"],
  run: (world) => cancelledTooLate(world, level),
}))
