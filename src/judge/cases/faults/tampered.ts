import { setTimeout as sleep } from "node:timers/promises"
import type { ProofDifference } from "../../driver/protocol.ts"
import { rowBytes } from "../../pattern/cache-places.ts"
import type { JudgeCase } from "../case.ts"
import { CaseFailed, hold } from "../case-failed.ts"
import type { JudgedAgent } from "../judged-agent.ts"
import type { SequenceTables } from "../pieces.ts"
import { randomTables } from "../tables.ts"
import type { TransferEnd } from "../transfer.ts"
import { middleCache, type Pair, pairOf, type World } from "../world.ts"
import { runToItsEnd } from "./large.ts"

/** What was lent has been sealed by then. */
const sealMillis = 150

/** All bytes of a sequence, or of one layer of it, change after they were lent: a proof by samples has one of each layer at least. */
async function tamperedWholly(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const layers = Array.from({ length: source.cache.layers }, (_, layer) => layer)
  for (const changed of [layers, ...layers.map((layer) => [layer])]) {
    const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
    await scene.reuse(source, tables.sourceBlocks)
    const transfer = await scene.prepareSequence(source, target, tables, {
      direction: "read",
      integrity: "sampled",
    })
    await sleep(sealMillis)
    source.fillBlocks(tables.sourceBlocks, changed)
    const end = await runToItsEnd(transfer)
    hold(
      end?.state !== "done",
      "no-error",
      `all bytes of ${changed.length} of ${layers.length} layers of a sequence changed after it was lent, and the transfer was called done with proof by samples`,
    )
    transfer.fail()
    await scene.check()
    target.poisonAgain()
  }
}

/** A proof by samples draws anew for each post, and whatever it can draw is drawn in the end. */
async function tamperedInPart(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const count = 3
  for (let position = 0; position < count; position++) {
    const tables = randomTables(world.random, source, target, count * source.cache.blockTokens)
    await scene.reuse(source, tables.sourceBlocks)
    const options = { direction: "read", integrity: "sampled" } as const
    const transfer = await scene.prepareSequence(source, target, tables, options)
    await sleep(sealMillis)
    source.fillBlocks([tables.sourceBlocks[position]!])
    let noticed = false
    // Drawn in one of three layers with a chance of 19 in 27 each time: to miss it in all posts has one of less than 1 in 10^15.
    for (let post = 0; post < 30 && !noticed; post++)
      noticed = (await runToItsEnd(transfer))?.state !== "done"
    hold(
      noticed,
      "no-error",
      `block ${position + 1} of ${count} changed after it was lent, and a proof by samples has never looked at it`,
    )
    transfer.fail()
    await transfer.release()
    await scene.check()
    target.poisonAgain()
  }
}

/** What was done, in words, and the first place of it: layer by layer. */
interface Damaged extends ProofDifference {
  readonly what: string
}

/** Bytes that can change after they were lent: one bit, or right bytes that are in each other's places. */
type Damage = (world: World, source: JudgedAgent, tables: SequenceTables, round: number) => Damaged

/** One bit, in the last unit and its last token first: those are what a loop forgets. */
const flipOneBit: Damage = ({ random }, source, { sourceBlocks, tokens }, round) => {
  const { blockTokens, layers, heads } = source.cache
  const count = sourceBlocks.length
  const position = count - 1 - (round < count ? round : random.below(count))
  const layer = layers - 1 - (round % layers)
  const slots = Math.min(blockTokens, tokens - position * blockTokens)
  const row = rowBytes(source.cache)
  // Some row of the block, keys or values: of its last token, but for later rounds.
  const slot = round < count ? slots - 1 : random.below(slots)
  const inBlock = (random.below(2 * heads) * blockTokens + slot) * row + random.below(row)
  source.memory(layer)[sourceBlocks[position]! * source.blockBytes + inBlock]! ^= 1 << random.below(8)
  return { what: `one bit of layer ${layer}, block ${position + 1} of ${count}`, layer, block: position }
}

const swapBlocks: Damage = ({ random }, source, { sourceBlocks }) => {
  const layer = random.below(source.cache.layers)
  const [one, other] = random.distinct(2, 0, sourceBlocks.length - 1)
  swap([source, layer, sourceBlocks[one!]!], [source, layer, sourceBlocks[other!]!])
  const what = `blocks ${one! + 1} and ${other! + 1} of layer ${layer}`
  return { what, layer, block: Math.min(one!, other!) }
}

const swapLayers: Damage = ({ random }, source, { sourceBlocks }) => {
  const [one, other] = random.distinct(2, 0, source.cache.layers)
  for (const block of sourceBlocks) swap([source, one!, block], [source, other!, block])
  return { what: `all blocks of layers ${one} and ${other}`, layer: Math.min(one!, other!), block: 0 }
}

type Unit = readonly [agent: JudgedAgent, layer: number, block: number]

function swap(one: Unit, other: Unit): void {
  const [left, right] = [one, other].map(([agent, layer, block]) =>
    agent.memory(layer).subarray(block * agent.blockBytes, (block + 1) * agent.blockBytes),
  )
  const kept = left!.slice()
  left!.set(right!)
  right!.set(kept)
}

/** Undoes all damage. */
function mend(agent: JudgedAgent): void {
  for (const [layer, bytes] of agent.expected.entries()) agent.memory(layer).set(bytes)
}

/** An engine that says where its proof has found something says it of the right place. */
function holdPlace(end: TransferEnd | undefined, { layer, block, what }: Damaged): void {
  const found = end?.receipt?.difference
  if (found === undefined) return
  hold(
    found.layer === layer && found.block === block,
    "receipt",
    `${what} changed, and the receipt says that layer ${found.layer}, block ${found.block + 1} is the first that differs`,
  )
}

/** The source's blocks change after they were lent, without a word: a proof must see it. */
async function tampered(world: World): Promise<void> {
  const flips = Array.from({ length: world.rounds(8) }, () => flipOneBit)
  await tamperedBy(world, await pairOf(world, { level: "blocks" }), [...flips, swapBlocks, swapLayers])
  // What is proven are the source's blocks, whatever the target's are.
  const targetCache = { ...middleCache, blockTokens: 6, blocks: 480 }
  const unequal = await pairOf(world, { level: "blocks", targetCache })
  await tamperedBy(world, unequal, [flipOneBit, flipOneBit, swapBlocks])
}

async function tamperedBy(
  world: World,
  { scene, source, target }: Pair,
  damages: readonly Damage[],
): Promise<void> {
  const count = 7
  for (const [round, damage] of damages.entries()) {
    const tables = randomTables(
      world.random,
      source,
      target,
      count * source.cache.blockTokens - ((round + 1) % 3) * 5,
    )
    // What it had of these blocks before is not what it is asked about.
    await scene.reuse(source, tables.sourceBlocks)
    const transfer = await scene.prepareSequence(source, target, tables, {
      direction: "read",
      integrity: "full",
    })
    // It may prove what it has seen when the blocks were lent: that takes a moment.
    await sleep(sealMillis)
    if (round % 2 === 1) {
      // That it was right once says nothing of the next time.
      await transfer.post()
      await transfer.done()
      await scene.check()
      target.poisonAgain()
    }
    const damaged = damage(world, source, tables, round)
    const end = await runToItsEnd(transfer)
    mend(source)
    if (end?.state === "done") {
      throw new CaseFailed({
        kind: "no-error",
        cause: "tampered",
        text: `${damaged.what} changed after they were lent, and the transfer was called done with proof`,
      })
    }
    holdPlace(end, damaged)
    transfer.fail()
    await scene.check()
    target.poisonAgain()
  }
}

/**
 * A sequence is written twice, and one bit of the source changes in between, without a word: the blocks were not given to
 * anybody, so what was proven the first time is what must arrive.
 */
async function tamperedWrite(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const { random } = world
  const count = 7
  for (let round = 0; round < world.rounds(6); round++) {
    const tokens = count * source.cache.blockTokens
    const options = { direction: "write", integrity: "full" } as const
    const first = randomTables(random, source, target, tokens)
    await scene.reuse(source, first.sourceBlocks)
    await (await scene.prepareSequence(source, target, first, options)).run()
    await scene.check()
    target.poisonAgain()
    const { targetBlocks } = randomTables(random, source, target, tokens)
    const told = target.capabilities.includes("notify")
    const again = { ...options, ...(told ? { note: "done" } : {}) }
    const transfer = await scene.prepareSequence(source, target, { ...first, targetBlocks }, again)
    const position = count - 1 - (round % count)
    const layer = source.cache.layers - 1 - (round % source.cache.layers)
    const offset = first.sourceBlocks[position]! * source.blockBytes + random.below(source.blockBytes)
    const memory = source.memory(layer)
    memory[offset]! ^= 1 << random.below(8)
    const end = await runToItsEnd(transfer)
    memory[offset] = source.expected[layer]![offset]!
    if (end?.state === "done") {
      throw new CaseFailed({
        kind: "no-error",
        cause: "tampered",
        text: `one bit of layer ${layer}, block ${position + 1} of ${count} changed at the source after the blocks were sealed, and their write was called done with proof`,
      })
    }
    const proof = end?.receipt?.integrity ?? ""
    hold(!/identical/.test(proof), "receipt", `a write of changed bytes has a receipt that says ${proof}`)
    const notes = told ? await target.notes() : []
    hold(
      notes.length === 0,
      "notes",
      `a write of changed bytes told its target ${JSON.stringify(notes[0]?.text)}`,
    )
    transfer.fail()
    await scene.check()
    target.poisonAgain()
  }
}

/** Bytes that change at the source without a word: what a proof is there for. */
export const tamperedBytes: readonly JudgeCase[] = [
  {
    suite: "faults",
    name: "tampered",
    title: "A damaged byte at the source reaches the model in spite of the proof.",
    needs: ["blocks", "read", "integrity"],
    run: tampered,
  },
  {
    suite: "faults",
    name: "tampered-wholly",
    title: "A damaged prompt reaches the model in spite of the proof by samples.",
    needs: ["blocks", "read", "integrity"],
    run: tamperedWholly,
  },
  {
    suite: "faults",
    name: "tampered-in-part",
    title: "A proof by samples never looks at some blocks, and their damage reaches the model each time.",
    needs: ["blocks", "read", "integrity"],
    run: tamperedInPart,
  },
  {
    suite: "faults",
    name: "tampered-write",
    title: "Blocks that were damaged at the writer reach the model in spite of the proof.",
    needs: ["blocks", "write", "epochs", "integrity"],
    run: tamperedWrite,
  },
]
