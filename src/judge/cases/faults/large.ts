import { setTimeout as sleep } from "node:timers/promises"
import { DriverFailed } from "../../driver/driver-failed.ts"
import { CaseFailed } from "../case-failed.ts"
import type { JudgedAgent } from "../judged-agent.ts"
import { type SequenceTables, sequencePieces } from "../pieces.ts"
import { randomTables } from "../tables.ts"
import type { Transfer, TransferEnd, TransferOptions } from "../transfer.ts"
import { firstBlock, middleCache, type Pair, pairOf, type World } from "../world.ts"

/** How long after the end of a transfer its target is watched. */
export const watchMillis = 300

/** Large enough that something can happen while it moves: 8 layers of 256 blocks of 16 KiB. */
export const largeCache = { ...middleCache, layers: 8, blocks: 256 }

/** A pair in processes of its own, for what leaves them in disorder. */
export const freshPair = (world: World, level: "pieces" | "blocks", cache = largeCache): Promise<Pair> =>
  pairOf(world, { level, cache, fresh: true })

/** Prepares the transfer of nearly all blocks, in random places. */
export async function prepareLarge(
  world: World,
  pair: Pair,
  level: "pieces" | "blocks",
  options: TransferOptions,
): Promise<Transfer> {
  return await prepareTables(pair, level, allBlocks(world, pair), options)
}

/** The same as two transfers. */
export async function prepareHalves(
  world: World,
  pair: Pair,
  level: "pieces" | "blocks",
  options: TransferOptions,
): Promise<Transfer[]> {
  const half = Math.floor((pair.source.cache.blocks - firstBlock) / 2)
  return await prepareParts(world, pair, level, [half, half], options)
}

/** Transfers of so many blocks each, in random places, none of them twice. */
export async function prepareParts(
  world: World,
  pair: Pair,
  level: "pieces" | "blocks",
  parts: readonly number[],
  options: TransferOptions,
): Promise<Transfer[]> {
  const { sourceBlocks, targetBlocks } = allBlocks(world, pair)
  const transfers: Transfer[] = []
  let start = 0
  for (const blocks of parts) {
    const end = start + blocks
    const tables = {
      sourceBlocks: sourceBlocks.slice(start, end),
      targetBlocks: targetBlocks.slice(start, end),
      tokens: blocks * pair.source.cache.blockTokens,
    }
    transfers.push(await prepareTables(pair, level, tables, options))
    start = end
  }
  return transfers
}

function allBlocks({ random }: World, { source, target }: Pair): SequenceTables {
  const tokens = (source.cache.blocks - firstBlock) * source.cache.blockTokens
  return randomTables(random, source, target, tokens)
}

async function prepareTables(
  { scene, source, target }: Pair,
  level: "pieces" | "blocks",
  tables: SequenceTables,
  options: TransferOptions,
): Promise<Transfer> {
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
export function refusalOf(asking: Promise<unknown>): Promise<DriverFailed | undefined> {
  const told = refusal(asking)
  // A case that fails before it has come to this waits for it no more.
  told.catch(() => {})
  return told
}

async function refusal(asking: Promise<unknown>): Promise<DriverFailed | undefined> {
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

/** Posts it, and waits for its end: undefined where the post was refused. */
export async function runToItsEnd(transfer: Transfer): Promise<TransferEnd | undefined> {
  return (await refusalOf(transfer.post())) === undefined ? await transfer.end() : undefined
}

/** What was under way has ended; somebody is `gone`. Nothing comes later, and whoever stands in for it works. */
export async function mustBeQuiet(
  world: World,
  pair: Pair,
  gone: JudgedAgent,
  level: "pieces" | "blocks",
): Promise<void> {
  await sleep(watchMillis)
  await pair.scene.check()
  pair.scene.forget(gone)
  await mustStillWork(world, pair, level)
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
