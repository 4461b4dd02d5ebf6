import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "./case.ts"
import { hold } from "./case-failed.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { layOut } from "./lay-out.ts"
import { blockPieces, type Direction, eachWay, someLengths } from "./order.ts"
import { randomTables } from "./tables.ts"
import type { Transfer } from "./transfer.ts"
import { type Pair, pairOf, type Role, type World } from "./world.ts"

const noteMillis = 5000

/** The other side is told once for each end, and when it hears it the bytes are there. */
export async function notes(
  world: World,
  level: "pieces" | "blocks",
  direction: Direction,
  options?: Role["options"],
): Promise<void> {
  const pair = await pairOf(world, { level, ...(options === undefined ? {} : { options }) })
  const { scene, source, target } = pair
  const [poster, listener] = direction === "read" ? [target, source] : [source, target]
  await sleep(50)
  await listener.notes()
  const sent: string[] = []
  const heard: string[] = []
  for (let round = 0; round < world.rounds(12); round++) {
    const note = `request ${round} "of" ${world.random.uint32()} é`
    const transfer = await prepareSome(world, pair, level, direction, note)
    // A prepared transfer says its word each time.
    const posts = level === "pieces" && round % 4 === 0 ? 2 : 1
    for (let post = 0; post < posts; post++) {
      sent.push(note)
      await transfer.post()
      await hear(listener, heard, sent.length)
      // The word is the engine's promise: the bytes are looked at before it is asked whether it is done.
      transfer.land()
      await scene.check()
      transfer.mustBe(await transfer.end(), "done")
    }
    await transfer.release()
    target.poisonAgain()
  }
  const together = poster.capabilities.includes("concurrent")
  if (together) {
    for (const at of [few, many])
      await notesTogether(world, pair, { level, direction, sent, heard, listener }, at)
  }
  await sleep(100)
  await hear(listener, heard, 0)
  const froms = new Set(heard.map((text) => text.split("\0")[0]))
  hold(
    froms.size === 1 && froms.has(poster.name),
    "notes",
    `notes came from ${[...froms].join(", ")}, not from ${poster.name} alone`,
  )
  const texts = heard.map((text) => text.split("\0")[1])
  hold(
    texts.join("\n") === sent.join("\n"),
    "notes",
    `${sent.length} notes were sent, ${texts.length} came, and they are not the same: ${firstOther(sent, texts)}`,
  )
}

interface Correspondence {
  readonly level: "pieces" | "blocks"
  readonly direction: Direction
  readonly sent: string[]
  readonly heard: string[]
  readonly listener: JudgedAgent
}

/** Transfers that are under way at the same time: what each says, and how many blocks it may have. */
interface Together {
  readonly words: readonly string[]
  readonly blocks: number
}

const few: Together = { words: ["one", "the same", "the same", "three", "four", "five"], blocks: 30 }
/** So small and so many that they end within moments of each other. */
const many: Together = {
  words: Array.from({ length: 60 }, (_, i) => (i % 5 === 0 ? "again" : `small ${i}`)).toSorted(),
  blocks: 2,
}

/** Several at once, some with the same words: each is told, in whatever order they end. */
async function notesTogether(
  world: World,
  pair: Pair,
  { level, direction, sent, heard, listener }: Correspondence,
  { words, blocks }: Together,
): Promise<void> {
  const { scene, target } = pair
  const transfers: Transfer[] = []
  // Places of its own for each: they land at the same time.
  const places = words.map((_, i) => ({ first: 2 + i * blocks, end: 2 + (i + 1) * blocks }))
  for (const [i, note] of words.entries())
    transfers.push(await prepareSome(world, pair, level, direction, note, places[i]))
  // Nobody waits for the answer to one before the next is asked for.
  await Promise.all(transfers.map((transfer) => transfer.post()))
  const before = sent.length
  await hear(listener, heard, before + words.length)
  for (const transfer of transfers) {
    transfer.mustBe(await transfer.end(), "done")
    transfer.land()
    await transfer.release()
  }
  await scene.check()
  target.poisonAgain()
  // They end in any order: what was heard of them is put in that of the sending.
  heard.push(...heard.splice(before).toSorted(byWords(words)))
  sent.push(...words)
}

const byWords = (words: readonly string[]) => (one: string, other: string) => {
  const place = (text: string): number => words.indexOf(text.split("\0")[1]!)
  return place(one) - place(other)
}

function firstOther(sent: readonly string[], heard: readonly (string | undefined)[]): string {
  const at = [...sent, undefined].findIndex((text, i) => text !== heard[i])
  return `number ${at} was ${JSON.stringify(sent[at] ?? null)} and came as ${JSON.stringify(heard[at] ?? null)}`
}

/** Listens until so many have come. */
async function hear(listener: JudgedAgent, heard: string[], count: number): Promise<void> {
  for (const end = performance.now() + noteMillis; ; ) {
    heard.push(...(await listener.notes()).map(({ from, text }) => `${from}\0${text}`))
    if (heard.length >= count) return
    hold(
      performance.now() < end,
      "notes",
      `${heard.length} of ${count} notes had come ${noteMillis} ms after the last transfer was posted`,
    )
    await sleep(1)
  }
}

/** @param within blocks of the target that are its own; any when absent. */
async function prepareSome(
  world: World,
  pair: Pair,
  level: string,
  direction: Direction,
  note: string,
  within?: { readonly first: number; readonly end: number },
): Promise<Transfer> {
  const { random } = world
  const { scene, source, target } = pair
  const most = within === undefined ? 30 : within.end - within.first
  const tokens = random.between(1, most * source.cache.blockTokens)
  const tables = randomTables(random, source, target, tokens)
  const count = tables.targetBlocks.length
  const own = within === undefined ? tables.targetBlocks : random.distinct(count, within.first, within.end)
  if (level === "pieces") {
    const pieces =
      within === undefined
        ? layOut(random, { lengths: someLengths(world), source, target, align: 8 })
        : tables.sourceBlocks.flatMap((block, i) => blockPieces(source, block, own[i]!))
    return await scene.prepare(source, target, pieces, { direction, note })
  }
  return await scene.prepareSequence(source, target, { ...tables, targetBlocks: own }, { direction, note })
}

/** A note of a transfer that failed would make the other side free what was never read. */
async function noNoteOfFailure(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  const tables = randomTables(world.random, source, target, 20 * source.cache.blockTokens)
  await source.notes()
  const transfer = await scene.prepareSequence(source, target, tables, { direction: "read", note: "done" })
  await scene.reuse(source, tables.sourceBlocks)
  await transfer.post()
  const end = await transfer.end()
  transfer.mustBe(end, "failed")
  transfer.fail()
  await sleep(100)
  const notes = await source.notes()
  hold(
    notes.length === 0,
    "notes",
    `a transfer that failed (${end.error?.code}) told the other side ${JSON.stringify(notes[0]?.text)}`,
  )
  await transfer.release()
  await scene.check()
}

/** What the other side hears of a transfer. */
export const noteCases: readonly JudgeCase[] = [
  ...(["pieces", "blocks"] as const).flatMap((level) =>
    eachWay((direction) => ({
      suite: "order",
      name: `notes-${level}-${direction}`,
      title: "The other side hears of a transfer before its bytes are there, twice, or never.",
      needs: level === "pieces" ? ["pieces", "notify", direction] : ["notify", direction],
      run: (world) => notes(world, level, direction),
    })),
  ),
  {
    suite: "order",
    name: "no-note-of-failure",
    title: "The other side hears that a transfer is done which has failed, and frees what nobody has.",
    needs: ["read", "notify", "epochs"],
    run: noNoteOfFailure,
  },
]
