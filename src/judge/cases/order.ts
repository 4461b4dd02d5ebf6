import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "./case.ts"
import { hold } from "./case-failed.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { layOut } from "./lay-out.ts"
import type { Piece } from "./pieces.ts"
import { pairOf, smallCache, type World } from "./world.ts"

export type Direction = "read" | "write"

/** Two transfers and the pieces of a third, for rounds that look at what is being written. */
export const someLengths = ({ random }: World): number[] =>
  Array.from({ length: random.between(1, 60) }, () => random.pick([8, 100, 4096, 4096, 20_000]))

/** The whole target is looked at as soon as the engine says that it is done: many times, with other sizes. */
async function visible(world: World, direction: Direction): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces", cache: smallCache })
  for (let round = 0; round < world.rounds(60); round++) {
    const few = world.random.below(2) === 0
    const lengths = few
      ? [world.random.between(1, 64)]
      : someLengths(world).map((length) => Math.min(length, 4096))
    const pieces = layOut(world.random, { lengths, source, target, align: 1 })
    await (await scene.prepare(source, target, pieces, { direction, withoutNote: true })).run()
    await scene.check()
    target.poisonAgain()
  }
}

/** The same, while three other transfers of the same agents are under way. */
async function visibleUnderLoad(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces" })
  for (let round = 0; round < world.rounds(10); round++) {
    const lengths = Array.from({ length: 4 }, () => someLengths(world))
    const all = layOut(world.random, { lengths: lengths.flat(), source, target, align: 8 })
    let next = 0
    const transfers = []
    for (const { length } of lengths) {
      const pieces = all.slice(next, next + length)
      next += length
      transfers.push(await scene.prepare(source, target, pieces, { direction: "read" }))
    }
    for (const transfer of transfers) await transfer.post()
    for (const transfer of world.random.shuffled(transfers)) {
      await transfer.done()
      lookAt(transfer.to, transfer.pieces)
      await transfer.release()
    }
    await scene.check()
    target.poisonAgain()
  }
}

/** Holds the pieces of one transfer against what must be there; others may still be under way around them. */
function lookAt(target: JudgedAgent, pieces: readonly Piece[]): void {
  for (const { targetRegion, targetOffset, length } of pieces) {
    const end = targetOffset + length
    const found = target.memory(targetRegion).subarray(targetOffset, end)
    const right = Buffer.compare(found, target.expected[targetRegion]!.subarray(targetOffset, end)) === 0
    hold(
      right,
      "wrong-bytes",
      `${length} bytes at byte ${targetOffset} of layer ${targetRegion} of ${target.name} were not there when their transfer was called done, while others were under way`,
    )
  }
}

/** Somebody else writes into other blocks of both sides while a transfer runs: nothing of that is lost or moved. */
async function concurrentWriter(world: World, direction: Direction): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces" })
  const { random } = world
  for (let round = 0; round < world.rounds(8); round++) {
    const count = 60
    const spare = random.distinct(24, source.cache.blocks - 40, source.cache.blocks)
    const tables = random.distinct(count, 2, source.cache.blocks - 40)
    const into = random.distinct(count, 2, target.cache.blocks - 40)
    const pieces = tables.flatMap((block, i) => blockPieces(source, block, into[i]!))
    const transfer = await scene.prepare(source, target, pieces, { direction })
    const posting = transfer.post()
    // As long as it runs, a few blocks at a time.
    for (let turn = 0; turn < 12; turn++) {
      source.fillBlocks([spare[turn]!])
      target.fillBlocks([spare[turn + 12]!])
      await sleep(0)
    }
    await posting
    await transfer.done()
    await transfer.release()
    await scene.check()
    target.poisonAgain()
  }
}

/** One block of all layers, from one place to another. */
export function blockPieces(agent: JudgedAgent, from: number, to: number): Piece[] {
  return Array.from({ length: agent.cache.layers }, (_, layer) => ({
    sourceRegion: layer,
    sourceOffset: from * agent.blockBytes,
    targetRegion: layer,
    targetOffset: to * agent.blockBytes,
    length: agent.blockBytes,
  }))
}

export const eachWay = (make: (direction: Direction) => JudgeCase): JudgeCase[] => [
  make("read"),
  make("write"),
]

export const order: readonly JudgeCase[] = [
  ...eachWay((direction) => ({
    suite: "order",
    name: `visible-${direction}`,
    title:
      "A transfer is called done before its last bytes are there, and the model reads what was there before.",
    needs: ["pieces", direction],
    run: (world) => visible(world, direction),
  })),
  {
    suite: "order",
    name: "visible-under-load",
    title: "With several requests at once, one is called done for the bytes of another.",
    needs: ["pieces", "read", "concurrent"],
    run: visibleUnderLoad,
  },
  ...eachWay((direction) => ({
    suite: "order",
    name: `concurrent-writer-${direction}`,
    title: "What the model writes into other blocks during a transfer is lost, or moved along.",
    needs: ["pieces", direction],
    run: (world) => concurrentWriter(world, direction),
  })),
]
