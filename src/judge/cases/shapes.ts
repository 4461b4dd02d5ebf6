import { DriverFailed } from "../driver/driver-failed.ts"
import type { JudgeCase } from "./case.ts"
import { CaseFailed } from "./case-failed.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import { layOut } from "./lay-out.ts"
import type { Piece } from "./pieces.ts"
import { firstBlock, type Pair, pairOf, type World } from "./world.ts"

const kiB = 1024
const sizes = [
  4096,
  4095,
  4097,
  64 * kiB,
  64 * kiB - 1,
  64 * kiB + 1,
  16_384,
  1000,
  255,
  257,
  63,
  64,
  65,
  7,
  8,
  9,
  1,
]
const largeSizes = [
  128 * kiB - 1,
  128 * kiB,
  128 * kiB + 1,
  256 * kiB + 3,
  1024 * kiB - 1,
  1024 * kiB,
  1024 * kiB + 1,
]
const counts = [
  1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 1023, 1024, 1025, 2048,
  4096,
]

type Direction = "read" | "write"
/** Makes the pieces of one round; undefined when there are no more. */
type Rounds = (pair: Pair, world: World) => Iterable<readonly Piece[]>

/** One transfer after the other over one pair; all memory is looked at after each. */
async function moveRounds(world: World, direction: Direction, rounds: Rounds): Promise<void> {
  const pair = await pairOf(world, { level: "pieces" })
  for (const pieces of rounds(pair, world)) {
    const transfer = await pair.scene.prepare(pair.source, pair.target, pieces, { direction })
    await transfer.run()
    await pair.scene.check()
    pair.target.poisonAgain()
  }
}

function bothWays(name: string, title: string, rounds: Rounds): JudgeCase[] {
  return (["read", "write"] as const).map((direction) => ({
    suite: "shapes",
    name: `${name}-${direction}`,
    title,
    needs: ["pieces", direction],
    run: (world) => moveRounds(world, direction, rounds),
  }))
}

/** Where data may lie: behind the blocks that nobody uses. */
const start = ({ blockBytes }: JudgedAgent): number => firstBlock * blockBytes
const room = (agent: JudgedAgent): number => agent.regionBytes - start(agent)
const layersOf = ({ cache }: JudgedAgent): number[] =>
  Array.from({ length: cache.layers }, (_, layer) => layer)

function* sizeRounds({ source, target }: Pair, { random }: World): Iterable<Piece[]> {
  for (const length of [...sizes, ...largeSizes]) {
    const places = [
      [0, 0],
      [1, 0],
      [0, 3],
      [random.below(4096), random.below(4096)],
    ]
    // Large ones once: it is the edges around a size that break.
    for (const [sourceShift, targetShift] of length > 64 * kiB + 1 ? places.slice(3) : places) {
      yield [
        {
          sourceRegion: random.below(source.cache.layers),
          sourceOffset: start(source) + random.below((room(source) - length) / 8192) * 4096 + sourceShift!,
          targetRegion: random.below(target.cache.layers),
          targetOffset: start(target) + random.below((room(target) - length) / 8192) * 4096 + targetShift!,
          length,
        },
      ]
    }
  }
}

function* countRounds({ source, target }: Pair, { random }: World): Iterable<Piece[]> {
  for (const count of counts) {
    const lengths = Array.from({ length: count }, () => 8 * random.between(1, 128))
    yield layOut(random, { lengths, source, target, align: 8 })
  }
}

function* mixedRounds({ source, target }: Pair, world: World): Iterable<Piece[]> {
  const { random } = world
  for (let round = 0; round < world.rounds(12); round++) {
    const lengths = random.shuffled([...sizes, ...sizes, random.pick(largeSizes), random.pick(largeSizes)])
    yield layOut(random, { lengths, source, target, align: random.pick([1, 1, 2, 8]) })
  }
}

/** Lists whose neighbours touch, at the source, at the target, or on both sides: where lists are merged. */
function* adjacentRounds({ source, target }: Pair, { random }: World): Iterable<Piece[]> {
  for (const length of [7, 512, 4096, 5000]) {
    const count = 96
    const order = Array.from({ length: count }, (_, i) => i)
    const gap = length + 24
    for (const [from, to] of [
      [order.map((i) => i * length), order.map((i) => i * length)],
      [order.map((i) => i * length), random.shuffled(order).map((i) => i * gap)],
      [random.shuffled(order).map((i) => i * gap), order.map((i) => i * length)],
      [order.map((i) => i * length), order.toReversed().map((i) => i * length)],
      [order.map((i) => (i ^ 1) * length), order.map((i) => i * length)],
    ] as const) {
      const [sourceRegion, targetRegion] = [random.pick(layersOf(source)), random.pick(layersOf(target))]
      yield order.map((i) => ({
        sourceRegion,
        sourceOffset: start(source) + from[i]!,
        targetRegion,
        targetOffset: start(target) + to[i]!,
        length,
      }))
    }
  }
}

function* stridedRounds({ source, target }: Pair, { random }: World): Iterable<Piece[]> {
  for (const [length, sourceStride, targetStride] of [
    [64, 128, 64],
    [64, 64, 192],
    [2048, 8192, 4096],
    [1000, 1536, 1001],
    [4096, 16_384, 16_384],
  ] as const) {
    const [sourceRegion, targetRegion] = [random.pick(layersOf(source)), random.pick(layersOf(target))]
    yield Array.from({ length: 150 }, (_, i) => ({
      sourceRegion,
      sourceOffset: start(source) + i * sourceStride,
      targetRegion,
      targetOffset: start(target) + i * targetStride,
      length,
    }))
  }
}

/** One range of the source lands in many places, whole or in parts that overlap. */
function* overlappingRounds({ source, target }: Pair, world: World): Iterable<Piece[]> {
  const { random } = world
  for (let round = 0; round < world.rounds(6); round++) {
    const lengths = Array.from({ length: 40 }, () => random.pick([8, 100, 4096, 16_384]))
    const first = start(source) + random.below(room(source) / 2)
    yield layOut(random, { lengths, source, target, align: 1 }).map((piece) => ({
      ...piece,
      sourceRegion: 0,
      sourceOffset: first + random.below(20_000),
    }))
  }
}

/** Pieces that go down or in no order, from all layers into all layers. */
function* orderRounds({ source, target }: Pair, world: World): Iterable<Piece[]> {
  const { random } = world
  for (let round = 0; round < world.rounds(6); round++) {
    const lengths = Array.from({ length: 160 }, () => 4096)
    const pieces = layOut(random, { lengths, source, target, align: 4096 })
    const down = pieces.toSorted((a, b) => b.sourceOffset - a.sourceOffset || b.sourceRegion - a.sourceRegion)
    yield [pieces, down, pieces.toSorted((a, b) => b.targetOffset - a.targetOffset)][round % 3]!
  }
}

/** The first byte that data may use, the last one of a region, and a region from there to its end. */
function* edgeRounds({ source, target }: Pair, { random }: World): Iterable<Piece[]> {
  const last = source.cache.layers - 1
  const whole = {
    sourceRegion: last,
    sourceOffset: start(source),
    targetRegion: 0,
    targetOffset: start(target),
    length: room(source),
  }
  yield [whole]
  for (const length of [1, 7, 4096, 64 * kiB + 1]) {
    const [sourceEnd, targetEnd] = [source.regionBytes - length, target.regionBytes - length]
    yield [
      { sourceRegion: 0, sourceOffset: sourceEnd, targetRegion: last, targetOffset: targetEnd, length },
      { sourceRegion: last, sourceOffset: start(source), targetRegion: 0, targetOffset: targetEnd, length },
      {
        sourceRegion: 0,
        sourceOffset: sourceEnd,
        targetRegion: 0,
        targetOffset: start(target) + random.below(9),
        length,
      },
    ]
  }
}

/** The same prepared list again and again, with new content each time. */
async function repost(world: World, direction: Direction): Promise<void> {
  const pair = await pairOf(world, { level: "pieces" })
  const { source, target, scene } = pair
  const lengths = Array.from({ length: 48 }, () => world.random.pick(sizes))
  const pieces = layOut(world.random, { lengths, source, target, align: 1 })
  const transfer = await scene.prepare(source, target, pieces, { direction })
  for (let round = 0; round < world.rounds(8); round++) {
    source.fillAll()
    await transfer.post()
    await transfer.done()
    await scene.check()
    target.poisonAgain()
  }
  await transfer.release()
}

/** A piece of no bytes among others: refused with an error, or without any effect. */
async function zeroLength(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces" })
  const direction = "read"
  const good = layOut(world.random, { lengths: [4096, 100, 8], source, target, align: 8 })
  for (const at of [0, 1, 3]) {
    const empty = { ...good[0]!, targetOffset: start(target) + 77, length: 0 }
    const pieces = good.toSpliced(at, 0, empty)
    try {
      const transfer = await scene.prepare(source, target, pieces, { direction })
      await transfer.post()
      const end = await transfer.end()
      if (end.state === "done") transfer.land()
      else transfer.fail()
      await transfer.release()
    } catch (thrown) {
      if (!(thrown instanceof DriverFailed)) throw thrown
      if (thrown.kind !== "error")
        throw new CaseFailed({
          kind: thrown.kind,
          text: `a piece of 0 bytes: ${thrown.text}`,
          log: thrown.log,
        })
    }
    await scene.check()
    target.poisonAgain()
    // Whatever it said: what comes after must work.
    await (await scene.prepare(source, target, good, { direction })).run()
    await scene.check()
    target.poisonAgain()
  }
}

export const shapes: readonly JudgeCase[] = [
  ...bothWays(
    "sizes",
    "Bytes around a size at which an engine changes its way are lost or doubled.",
    sizeRounds,
  ),
  ...bothWays(
    "counts",
    "A request with more blocks than an engine's queue or batch loses some of them.",
    countRounds,
  ),
  ...bothWays("mixed", "Small and large pieces in one request land in each other's places.", mixedRounds),
  ...bothWays(
    "adjacent",
    "Pieces that touch each other are merged wrongly, and land as one run.",
    adjacentRounds,
  ),
  ...bothWays("strided", "Every n-th row of a cache comes from the wrong rows.", stridedRounds),
  ...bothWays(
    "overlapping-source",
    "A shared prefix, read into several places, arrives in one of them only.",
    overlappingRounds,
  ),
  ...bothWays(
    "order",
    "Blocks that are not in ascending order are read from each other's places.",
    orderRounds,
  ),
  ...bothWays(
    "edges",
    "The last bytes of a layer's memory do not arrive, or what lies behind is overwritten.",
    edgeRounds,
  ),
  ...(["read", "write"] as const).map((direction) => ({
    suite: "shapes" as const,
    name: `repost-${direction}`,
    title: "A prepared transfer that is posted again brings the bytes of its first time.",
    needs: ["pieces", direction] as const,
    run: (world: World) => repost(world, direction),
  })),
  {
    suite: "shapes",
    name: "zero-length",
    title: "An empty piece ends the engine, or costs the pieces beside it.",
    needs: ["pieces", "read"],
    run: zeroLength,
  },
]
