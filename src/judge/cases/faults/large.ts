import { DriverFailed } from "../../driver/driver-failed.ts"
import { CaseFailed } from "../case-failed.ts"
import { sequencePieces } from "../pieces.ts"
import { randomTables } from "../tables.ts"
import type { Transfer, TransferEnd, TransferOptions } from "../transfer.ts"
import { firstBlock, middleCache, type Pair, pairOf, type World } from "../world.ts"

/** Large enough that something can happen while it moves: 8 layers of 256 blocks of 16 KiB. */
export const largeCache = { ...middleCache, layers: 8, blocks: 256 }

/** A pair in processes of its own, for what leaves them in disorder. */
export const freshPair = (world: World, level: "pieces" | "blocks", cache = largeCache): Promise<Pair> =>
  pairOf(world, { level, cache, fresh: true })

/** Prepares the transfer of nearly all blocks, in random places. */
export async function prepareLarge(
  world: World,
  { scene, source, target }: Pair,
  level: "pieces" | "blocks",
  options: TransferOptions,
): Promise<Transfer> {
  const tables = randomTables(
    world.random,
    source,
    target,
    (source.cache.blocks - firstBlock) * source.cache.blockTokens,
  )
  if (level === "blocks") return await scene.prepareSequence(source, target, tables, options)
  return await scene.prepare(source, target, sequencePieces(source.cache, target.cache, tables), options)
}

/** The bytes of a transfer that has ended must agree with what it says of itself. */
export async function holdToItsWord(transfer: Transfer, end: TransferEnd): Promise<void> {
  transfer.holdClaim(end)
  if (end.state !== "done") return transfer.fail()
  await transfer.heard()
  transfer.land()
}

/** What a question that may be refused has come to. */
export async function refusalOf(asking: Promise<unknown>): Promise<DriverFailed | undefined> {
  try {
    await asking
    return undefined
  } catch (thrown) {
    if (!(thrown instanceof DriverFailed)) throw thrown
    if (thrown.kind === "error") return thrown
    throw new CaseFailed({
      kind: thrown.kind,
      text: thrown.text,
      ...(thrown.log === "" ? {} : { log: thrown.log }),
    })
  }
}

/** A small good transfer: whatever happened before, it must work. */
export async function mustStillWork(
  world: World,
  { scene, source, target }: Pair,
  level: "pieces" | "blocks",
): Promise<void> {
  target.poisonAgain()
  const tables = randomTables(world.random, source, target, 9 * source.cache.blockTokens)
  await scene.reuse(source, tables.sourceBlocks)
  const pieces = sequencePieces(source.cache, target.cache, tables)
  const transfer =
    level === "blocks"
      ? await scene.prepareSequence(source, target, tables, { direction: "read" })
      : await scene.prepare(source, target, pieces, { direction: "read" })
  await transfer.run()
  await scene.check()
}
