import type { JudgeCase } from "./case.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { layOut } from "./lay-out.ts"
import { blockPieces } from "./order.ts"
import type { SequenceTables } from "./pieces.ts"
import type { Scene } from "./scene.ts"
import { blocksFor } from "./tables.ts"
import type { Transfer } from "./transfer.ts"
import { firstBlock, middleCache, pairOf, type World } from "./world.ts"

/** Free blocks of a pool, handed out in the order in which they came back, as engines do. */
class FreeBlocks {
  readonly #free: number[]

  constructor(world: World, { cache }: JudgedAgent) {
    this.#free = world.random.distinct(cache.blocks - firstBlock, firstBlock, cache.blocks)
  }

  get count(): number {
    return this.#free.length
  }

  take(count: number): number[] {
    return this.#free.splice(0, count)
  }

  give(blocks: readonly number[]): void {
    this.#free.push(...blocks)
  }
}

interface Request {
  readonly transfer: Transfer
  readonly tables: SequenceTables
}

/** What an engine does all day: a pool on each side, a few requests under way, blocks given back and taken again at once. */
class PagedEngine {
  readonly #world: World
  readonly #scene: Scene
  readonly #source: JudgedAgent
  readonly #target: JudgedAgent
  readonly #sourceFree: FreeBlocks
  readonly #targetFree: FreeBlocks

  constructor(world: World, scene: Scene, source: JudgedAgent, target: JudgedAgent) {
    this.#world = world
    this.#scene = scene
    this.#source = source
    this.#target = target
    this.#sourceFree = new FreeBlocks(world, source)
    this.#targetFree = new FreeBlocks(world, target)
  }

  /** Prefills a request into blocks that others have had, and posts its transfer; undefined when the pools are full. */
  async begin(): Promise<Request | undefined> {
    const tokens = this.#world.random.between(1, 24 * this.#source.cache.blockTokens)
    const count = blocksFor(this.#source, tokens)
    if (this.#sourceFree.count < count || this.#targetFree.count < count) return undefined
    const tables = {
      sourceBlocks: this.#sourceFree.take(count),
      targetBlocks: this.#targetFree.take(count),
      tokens,
    }
    await this.#scene.reuse(this.#source, tables.sourceBlocks)
    const transfer = await this.#scene.prepareSequence(this.#source, this.#target, tables, {
      direction: "read",
    })
    await transfer.post()
    return { transfer, tables }
  }

  /** Waits for a request; its blocks at the source are free at once, those of the target some time later. */
  async finish({ transfer, tables }: Request): Promise<void> {
    await transfer.done()
    await transfer.release()
    this.#sourceFree.give(tables.sourceBlocks)
  }

  /** The target's sequence is answered: its blocks are written by the model meanwhile, and go to others. */
  retire({ tables }: Request): void {
    this.#target.fillBlocks(tables.targetBlocks)
    this.#targetFree.give(tables.targetBlocks)
  }
}

async function pagedPool(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "blocks", cache: middleCache })
  const engine = new PagedEngine(world, scene, source, target)
  const running: Request[] = []
  const held: Request[] = []
  for (let step = 0; step < world.rounds(60); step++) {
    const request = running.length < 5 ? await engine.begin() : undefined
    if (request !== undefined) running.push(request)
    if (request === undefined || world.random.below(3) === 0) {
      const [ended] = running.splice(world.random.below(running.length), 1)
      if (ended !== undefined) {
        await engine.finish(ended)
        held.push(ended)
      }
    }
    if (held.length > 2) engine.retire(held.shift()!)
    // Only what stands still can be looked at whole.
    if (step % 10 === 9) {
      for (const one of running.splice(0)) {
        await engine.finish(one)
        held.push(one)
      }
      await scene.check()
    }
  }
  for (const one of running) await engine.finish(one)
  await scene.check()
}

/** One request, layer by layer: all are under way at once, posted one after the other, or each by a thread of its own. */
async function layersAtOnce(world: World, threads: boolean): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces" })
  for (let round = 0; round < world.rounds(8); round++) {
    const count = 50
    const [from, to] = [source, target].map(({ cache }) =>
      world.random.distinct(count, firstBlock, cache.blocks),
    )
    const byLayer = Array.from({ length: source.cache.layers }, (_, layer) =>
      from!.flatMap((block, i) =>
        blockPieces(source, block, to![i]!).filter(({ sourceRegion }) => sourceRegion === layer),
      ),
    )
    const transfers: Transfer[] = []
    for (const pieces of byLayer)
      transfers.push(await scene.prepare(source, target, pieces, { direction: "read" }))
    if (threads) {
      for (const transfer of transfers) transfer.posted()
      const numbers = transfers.map(({ number }) => number)
      await target.driver.ask(
        "postTogether",
        { transfers: numbers, timeoutMillis: 20_000 },
        { millis: 25_000 },
      )
    } else for (const transfer of transfers) await transfer.post()
    for (const transfer of transfers) {
      await transfer.done()
      await transfer.release()
    }
    await scene.check()
    target.poisonAgain()
  }
}

/** A forward pass writes layer after layer; each layer is on its way while the next one is written. */
async function layerwise(world: World, direction: "read" | "write"): Promise<void> {
  const cache = { ...middleCache, layers: 8, blocks: 96 }
  const { scene, source, target } = await pairOf(world, { level: "pieces", cache })
  for (let round = 0; round < world.rounds(5); round++) {
    const count = world.random.between(10, 60)
    const [from, to] = [source, target].map((agent) =>
      world.random.distinct(count, firstBlock, agent.cache.blocks),
    )
    const transfers: Transfer[] = []
    for (let layer = 0; layer < cache.layers; layer++) {
      source.fillBlocks(from!, [layer])
      const pieces = from!.flatMap((block, i) =>
        blockPieces(source, block, to![i]!).filter(({ sourceRegion }) => sourceRegion === layer),
      )
      const transfer = await scene.prepare(source, target, pieces, { direction })
      await transfer.post()
      transfers.push(transfer)
    }
    for (const transfer of transfers) {
      await transfer.done()
      await transfer.release()
    }
    await scene.check()
    target.poisonAgain()
  }
}

/** Several agents that read the same blocks of one source, or that write into one target, at the same time. */
async function crowd(world: World, direction: "read" | "write"): Promise<void> {
  const cache = { ...middleCache, blocks: 64 }
  const [one, many] =
    direction === "read" ? (["pattern", "poison"] as const) : (["poison", "pattern"] as const)
  const scene = await world.scene({
    level: "pieces",
    roles: [
      { name: "one", cache, holds: one },
      ...[1, 2, 3].map((n) => ({ name: `many-${n}`, cache, holds: many })),
    ],
  })
  const [hub, ...others] = scene.agents
  for (let round = 0; round < world.rounds(6); round++) {
    // In a common target each has places of its own; a common source is read in the same ones.
    const lengths = Array.from({ length: 90 }, () => world.random.pick([8, 1000, 4096, 16_384]))
    const pieces = layOut(world.random, { lengths, source: hub!, target: hub!, align: 8 })
    const transfers = []
    for (const [n, other] of others.entries()) {
      const [from, to] = direction === "read" ? [hub!, other] : [other, hub!]
      const share = direction === "read" ? pieces : pieces.filter((_, i) => i % others.length === n)
      transfers.push(await scene.prepare(from, to, share, { direction }))
    }
    await Promise.all(transfers.map((transfer) => transfer.post()))
    await Promise.all(transfers.map((transfer) => transfer.done()))
    await Promise.all(transfers.map((transfer) => transfer.release()))
    await scene.check()
    for (const agent of scene.agents) agent.poisonAgain()
  }
}

/** Requests are taken back under way, and their target blocks given to others at once. */
async function aborted(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces" })
  for (let round = 0; round < world.rounds(10); round++) {
    const count = 80
    const table = (agent: JudgedAgent): number[] =>
      world.random.distinct(count, firstBlock, agent.cache.blocks)
    const [from, next, to] = [table(source), table(source), table(target)]
    const first = await scene.prepare(
      source,
      target,
      from.flatMap((block, i) => blockPieces(source, block, to[i]!)),
      { direction: "read" },
    )
    await first.post()
    await first.cancel()
    const end = await first.end()
    first.mustBe(end, "cancelled", "done", "failed")
    if (end.state === "done") first.land()
    else first.fail()
    await first.release()
    // The same blocks, for another request.
    target.poisonBlocks(to)
    const second = await scene.prepare(
      source,
      target,
      next.flatMap((block, i) => blockPieces(source, block, to[i]!)),
      { direction: "read" },
    )
    await second.run()
    await scene.check()
    target.poisonAgain()
  }
}

export const engineLoad: readonly JudgeCase[] = [
  {
    suite: "load",
    name: "paged-pool",
    title: "Under a serving engine's load, a request gets the blocks of another one.",
    needs: ["read", "concurrent"],
    run: pagedPool,
  },
  {
    suite: "load",
    name: "layers-together",
    title: "Layers that are posted by several threads at once are mixed up.",
    needs: ["pieces", "read", "concurrent", "threads"],
    run: (world) => layersAtOnce(world, true),
  },
  {
    suite: "load",
    name: "layers-at-once",
    title: "Layers of one request that are under way at the same time are mixed up.",
    needs: ["pieces", "read", "concurrent"],
    run: (world) => layersAtOnce(world, false),
  },
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "load",
      name: `layerwise-${direction}`,
      title: "A layer that is moved while the next one is computed arrives half old, half new.",
      needs: ["pieces", direction, "concurrent"],
      run: (world) => layerwise(world, direction),
    }),
  ),
  ...(["read", "write"] as const).map(
    (direction): JudgeCase => ({
      suite: "load",
      name: direction === "read" ? "several-readers" : "several-writers",
      title:
        direction === "read"
          ? "One of several decode workers that read a shared prefix gets another one's bytes."
          : "Two senders whose transfers have equal numbers finish each other's.",
      needs: ["pieces", direction, "peers"],
      run: (world) => crowd(world, direction),
    }),
  ),
  {
    suite: "load",
    name: "aborted-reuse",
    title: "An aborted request goes on writing into blocks that belong to the next one.",
    needs: ["pieces", "read", "cancel"],
    run: aborted,
  },
]
