import { DriverFailed } from "../../driver/driver-failed.ts"
import { secretVariable } from "../../engines/secret-variable.ts"
import type { JudgeCase } from "../case.ts"
import { hold, NotSupported } from "../case-failed.ts"
import { layOut } from "../lay-out.ts"
import type { Piece } from "../pieces.ts"
import { randomTables } from "../tables.ts"
import { pairOf, smallCache, type World } from "../world.ts"
import { mustStillWork, refusalOf } from "./large.ts"

/** Ways in which a piece leaves its region; the other pieces of the list are good. */
function outside(piece: Piece, sourceBytes: number, targetBytes: number): Record<string, Piece> {
  const { length } = piece
  return {
    "the source by one byte": { ...piece, sourceOffset: sourceBytes - length + 1 },
    "the source by a page": { ...piece, sourceOffset: sourceBytes - length + 4096 },
    "the source's end": { ...piece, sourceOffset: sourceBytes },
    "the source by far": { ...piece, sourceOffset: 2 ** 45 },
    "the source's start": { ...piece, sourceOffset: -8 },
    "the target by one byte": { ...piece, targetOffset: targetBytes - length + 1 },
    "the target's end": { ...piece, targetOffset: targetBytes },
    "the target's start": { ...piece, targetOffset: -4096 },
  }
}

/** A list with one piece outside is refused, nothing lands, and what comes after works. */
async function outOfBounds(world: World, direction: "read" | "write"): Promise<void> {
  const pair = await pairOf(world, { level: "pieces" })
  const { scene, source, target } = pair
  const good = layOut(world.random, { lengths: [4096, 4096, 8192, 100], source, target, align: 8 })
  for (const [what, bad] of Object.entries(outside(good[2]!, source.regionBytes, target.regionBytes))) {
    const pieces = good.with(2, bad)
    const refused = await refusalOf(
      (async () => {
        const transfer = await scene.prepare(source, target, pieces, { direction })
        await transfer.post()
        const end = await transfer.end()
        hold(end.state !== "done", "no-error", `a piece that leaves ${what} was called done`)
        // An engine that finds it under way may have moved the good ones: those places say nothing.
        for (const piece of good) target.accept(piece.targetRegion, piece.targetOffset, piece.length)
        await transfer.release()
      })(),
    )
    if (refused !== undefined)
      hold(refused.text !== "", "no-reason", `a piece that leaves ${what} was refused without a word`)
    await scene.check()
    // As it was before, and a list of good ones still goes.
    target.poison()
    await (await scene.prepare(source, target, good, { direction })).run()
    await scene.check()
    target.poisonAgain()
  }
}

/** A lease that was taken back, and one that never was. */
async function noLease(world: World): Promise<void> {
  const pair = await pairOf(world, { level: "blocks" })
  const { scene, source, target } = pair
  const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
  await scene.connect(target, source)
  const { offer } = await source.driver.ask("lend", {
    blocks: tables.sourceBlocks,
    tokens: tables.tokens,
    access: "read",
  })
  await source.driver.ask("withdraw", { offer })
  // Its blocks belong to another request by now.
  await scene.reuse(source, tables.sourceBlocks)
  await mustRefuse(world, pair, "a lease that was taken back", offer)
  await mustRefuse(world, pair, "a lease that never was", "00000000-0000-4000-8000-000000000000")
  await mustStillWork(world, pair, "blocks")
}

/** One that does not share the secret learns nothing, and moves nothing. */
async function stranger(world: World): Promise<void> {
  if (world.engine.family !== "kvferry") throw new NotSupported("its agents authenticate nobody")
  const scene = await world.scene({
    level: "blocks",
    fresh: true,
    roles: [
      { name: "prefill", cache: smallCache, holds: "pattern" },
      { name: "decode", cache: smallCache, holds: "poison", env: { [secretVariable]: "0".repeat(64) } },
    ],
  })
  const [source, target] = [scene.agent("prefill"), scene.agent("decode")]
  const tables = randomTables(world.random, source, target, 5 * source.cache.blockTokens)
  const refused = await refusalOf(
    (async () => {
      const transfer = await scene.prepareSequence(source, target, tables, { direction: "read" })
      await transfer.post(5000)
      const { state } = await transfer.end()
      hold(
        state !== "done",
        "no-error",
        "an agent with another secret was let in, and read what it asked for",
      )
    })(),
  )
  hold(
    refused === undefined || refused.text !== "",
    "no-reason",
    "an agent with another secret was refused without a word",
  )
  await scene.check()
}

/**
 * What one peer holds is not another one's, until it is lent again: whatever it calls itself, and in whichever way it asks. Nor can
 * it give back what it does not hold.
 */
async function heldByAnother(world: World): Promise<void> {
  const { family } = world.engine
  for (const sameName of [false, true]) {
    const scene = await world.scene({
      level: "blocks",
      ...(sameName ? { fresh: true } : {}),
      roles: [
        { name: "prefill", cache: smallCache, holds: "pattern" },
        ...["decode-0", "decode-1"].map((name, i) => ({
          name,
          cache: smallCache,
          holds: "poison" as const,
          ...(sameName ? { callsItself: "decode" } : {}),
          // kvferry's short way asks and gives back in one.
          ...(i === 1 && family === "kvferry" ? { options: { pull: !sameName } } : {}),
        })),
      ],
    })
    const [source, first, second] = ["prefill", "decode-0", "decode-1"].map((name) => scene.agent(name))
    const tables = randomTables(world.random, source!, first!, 9 * source!.cache.blockTokens)
    await scene.connect(second!, source!)
    const transfer = await scene.prepareSequence(source!, first!, tables, { direction: "read" })
    const pair = { scene, source: source!, target: second! }
    await mustRefuse(world, pair, "a lease that another peer holds", transfer.offer)
    await transfer.run()
    await scene.check()
    first!.poisonAgain()
  }
}

async function mustRefuse(
  world: World,
  { scene, source, target }: Awaited<ReturnType<typeof pairOf>>,
  what: string,
  offer: string,
): Promise<void> {
  const pieces = layOut(world.random, {
    lengths: [source.blockBytes],
    source,
    target,
    align: source.blockBytes,
  })
  const blocks = [Math.floor(pieces[0]!.targetOffset / target.blockBytes)]
  const sequence = { offer, blocks, tokens: source.cache.blockTokens }
  try {
    const transfer = await scene.prepare(source, target, pieces, { direction: "read", sequence })
    await transfer.post(5000)
    const { state } = await transfer.end()
    hold(state !== "done", "no-error", `a read by ${what} was called done`)
    // It may have noticed when all was read.
    transfer.fail()
  } catch (thrown) {
    if (!(thrown instanceof DriverFailed) || thrown.kind !== "error") throw thrown
  }
  await scene.check()
}

export const refused: readonly JudgeCase[] = [
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "faults",
      name: `out-of-bounds-${direction}`,
      title: "A wrong address reaches memory that is nobody's business, or costs the transfers after it.",
      needs: ["pieces", direction],
      run: (world) => outOfBounds(world, direction),
    }),
  ),
  {
    suite: "faults",
    name: "stranger",
    title: "Whoever reaches the port reads the prompts of others.",
    needs: ["blocks", "read"],
    run: stranger,
  },
  {
    suite: "faults",
    name: "held-by-another",
    title: "A peer takes over what was lent to another one.",
    needs: ["blocks", "read", "peers", "epochs"],
    run: heldByAnother,
  },
  {
    suite: "faults",
    name: "withdrawn",
    title: "Blocks that were taken back are still read by a peer, after another request has them.",
    needs: ["blocks", "read", "epochs"],
    run: noLease,
  },
]
