import type { JudgeCase } from "./case.ts"
import { hold } from "./case-failed.ts"
import { layOut } from "./lay-out.ts"
import { randomTables } from "./tables.ts"
import type { Transfer, TransferEnd } from "./transfer.ts"
import { pairOf, type World } from "./world.ts"

/** What a receipt claims is what has moved, and where. */
function holdReceipt(world: World, transfer: Transfer, { receipt }: TransferEnd): void {
  hold(receipt !== undefined, "receipt", "a transfer that is done has no receipt")
  const { bytes, path, rails } = receipt
  hold(
    bytes === transfer.byteLength,
    "receipt",
    `the receipt says ${bytes} bytes, and ${transfer.byteLength} were moved`,
  )
  const byRail = rails.reduce((sum, rail) => sum + rail.bytes, 0)
  hold(
    rails.length === 0 || byRail === bytes,
    "receipt",
    `the receipt's rails say ${byRail} bytes, and the receipt ${bytes}`,
  )
  hold(path !== "", "receipt", "the receipt names no path")
  const asked = world.engine.path
  if (asked !== undefined && world.engine.family === "kvferry")
    hold(
      // A provider may be named behind the path: libfabric-tcp.
      path === asked || asked.startsWith(`${path}-`),
      "receipt",
      `the path ${asked} was asked for, and the receipt says ${JSON.stringify(path)}`,
    )
}

async function pieceReceipts(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces" })
  for (const count of [1, 2, 63, 64, 500]) {
    const lengths = Array.from({ length: count }, () => world.random.between(1, 9000))
    const pieces = layOut(world.random, { lengths, source, target, align: 1 })
    const transfer = await scene.prepare(source, target, pieces, { direction: "read" })
    holdReceipt(world, transfer, await transfer.run())
    await scene.check()
    target.poisonAgain()
  }
}

async function sequenceReceipts(world: World, direction: "read" | "write"): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  for (let round = 0; round < world.rounds(5); round++) {
    const tables = randomTables(
      world.random,
      source,
      target,
      world.random.between(1, 60 * source.cache.blockTokens),
    )
    const transfer = await scene.prepareSequence(source, target, tables, { direction })
    holdReceipt(world, transfer, await transfer.run())
    await scene.check()
    target.poisonAgain()
  }
}

/** A transfer that has failed claims no proof of what it did not do. */
async function failedReceipt(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const tables = randomTables(world.random, source, target, 20 * source.cache.blockTokens)
  const transfer = await scene.prepareSequence(source, target, tables, { direction: "read" })
  await source.driver.ask("reuse", { blocks: tables.sourceBlocks.slice(3) })
  await transfer.post()
  const end = await transfer.end()
  transfer.mustBe(end, "failed")
  transfer.fail()
  const proof = end.receipt?.integrity ?? ""
  hold(
    !/identical|delivered/.test(proof),
    "receipt",
    `a transfer that has failed shows a receipt of ${JSON.stringify(proof)}`,
  )
  hold(
    end.error !== undefined && end.error.text !== "",
    "no-reason",
    "a transfer has failed without a reason",
  )
  await scene.check()
}

/** What may be said of a good transfer by the level that was asked for: what was looked at, and no more. */
const proofs: Readonly<Record<string, RegExp>> = {
  none: /^none unchecked$/,
  epoch: /^epoch (unchecked|current)$/,
  sampled: /^sampled identical$/,
  full: /^full identical$/,
}

/** Each level of proof is done, and told as what it is. */
async function proofReceipts(world: World, direction: "read" | "write"): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  for (const [level, mayBe] of Object.entries(proofs)) {
    const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
    const transfer = await scene.prepareSequence(source, target, tables, { direction, integrity: level })
    const end = await transfer.run()
    const proof = end.receipt?.integrity ?? ""
    hold(
      mayBe.test(proof),
      "receipt",
      `a ${direction} with integrity ${level} was asked for, and its receipt says ${JSON.stringify(proof)}`,
    )
    holdReceipt(world, transfer, end)
    await scene.check()
    target.poisonAgain()
  }
}

export const receipts: readonly JudgeCase[] = [
  {
    suite: "receipts",
    name: "pieces",
    title: "The receipt counts bytes that have not moved, or another path.",
    needs: ["pieces", "read", "receipts"],
    run: pieceReceipts,
  },
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "receipts",
      name: `sequences-${direction}`,
      title: "The receipt of a request counts other bytes than its blocks have.",
      needs: [direction, "blocks", "receipts"],
      run: (world) => sequenceReceipts(world, direction),
    }),
  ),
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "receipts",
      name: `proof-${direction}`,
      title: "A receipt shows a proof that nobody has made, or a proof that was asked for is not made.",
      needs: [direction, "blocks", "receipts", "integrity"],
      run: (world) => proofReceipts(world, direction),
    }),
  ),
  {
    suite: "receipts",
    name: "of-a-failure",
    title: "The receipt of a failed request reads like one of a good one.",
    needs: ["blocks", "read", "epochs", "receipts"],
    run: failedReceipt,
  },
]
