import type { JudgeCase } from "./case.ts"
import { hold, NotSupported } from "./case-failed.ts"
import { holdToItsWord, runToItsEnd } from "./faults/large.ts"
import { layOut } from "./lay-out.ts"
import type { SequenceTables } from "./pieces.ts"
import { randomTables } from "./tables.ts"
import type { Transfer, TransferEnd } from "./transfer.ts"
import { middleCache, type Pair, pairOf, type World } from "./world.ts"

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

/** What it says of the sequence: whose, where to, how much of it, and how much was compared. Where it says so. */
function holdSequence(
  transfer: Transfer,
  { receipt }: TransferEnd,
  { tokens, sourceBlocks, targetBlocks }: SequenceTables,
  tickets: Set<string>,
): void {
  const said = receipt?.sequence
  if (said === undefined) return
  const { from, to, poster } = transfer
  const { layers } = from.cache
  const right = {
    source: from.name,
    target: to.name,
    direction: poster === to ? "read" : "write",
    tokens,
    layers,
    blocks: targetBlocks.length,
  }
  for (const [name, value] of Object.entries(right)) {
    const found = said[name as keyof typeof right]
    hold(found === value, "receipt", `the receipt says ${name} ${found}, and it was ${value}`)
  }
  const all = layers * sourceBlocks.length
  const [level = ""] = receipt?.integrity?.split(" ") ?? []
  const [least, most] = { full: [all, all], sampled: [layers, all - 1] }[level] ?? [0, 0]
  hold(
    said.hashes >= Math.min(least!, all) && said.hashes <= Math.max(most!, least!),
    "receipt",
    `a receipt at level ${level} says that ${said.hashes} of ${all} hashes were compared`,
  )
  hold(!tickets.has(said.ticket), "receipt", `two transfers are both called ${said.ticket}`)
  tickets.add(said.ticket)
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
  // Blocks of unequal size: what is counted in the target's is no number of the source's.
  const { scene, source, target } = await pairOf(world, { level: "blocks", targetCache: otherBlocks })
  const tickets = new Set<string>()
  for (let round = 0; round < world.rounds(5); round++) {
    const tokens = world.random.between(1, 60 * source.cache.blockTokens)
    const tables = randomTables(world.random, source, target, tokens)
    const transfer = await scene.prepareSequence(source, target, tables, { direction })
    const end = await transfer.run()
    holdReceipt(world, transfer, end)
    holdSequence(transfer, end, tables, tickets)
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
  const pair = await pairOf(world, { level: "blocks" })
  const tickets = new Set<string>()
  for (const level of Object.keys(proofs)) await proveAt(world, pair, direction, { level, tickets })
}

/** @param asked.level what the transfer names; nothing when absent. @param asked.used what it must come to. */
async function proveAt(
  world: World,
  { scene, source, target }: Pair,
  direction: "read" | "write",
  asked: { readonly level?: string; readonly used?: string; readonly tickets: Set<string> },
): Promise<void> {
  const { level, used = level!, tickets } = asked
  const tables = randomTables(world.random, source, target, 40 * source.cache.blockTokens)
  const named = level === undefined ? {} : { integrity: level }
  const transfer = await scene.prepareSequence(source, target, tables, { direction, ...named })
  const end = await transfer.run()
  const proof = end.receipt?.integrity ?? ""
  hold(
    proofs[used]!.test(proof),
    "receipt",
    `a ${direction} with integrity ${level ?? "as the agent has it"} was asked for, that is ${used}, and its receipt says ${JSON.stringify(proof)}`,
  )
  holdReceipt(world, transfer, end)
  holdSequence(transfer, end, tables, tickets)
  await scene.check()
  target.poisonAgain()
}

/** Where a transfer names no level, its agent's own one counts; and none goes below what an agent wants at least. */
async function levelsOfAgents(world: World, direction: "read" | "write", pull: boolean): Promise<void> {
  if (world.engine.family !== "kvferry") throw new NotSupported("its driver knows no level of an agent's own")
  const tickets = new Set<string>()
  for (const { options, asked, targetCache } of agentLevels) {
    const own = { ...options, ...(pull ? { pull } : {}) }
    const pair = await pairOf(world, { level: "blocks", targetCache, options: own })
    for (const one of asked) await proveAt(world, pair, direction, { ...one, tickets })
  }
  if (direction === "write") await targetsLeast(world)
}

/** A target that wants proof of what is written into it gets it, or has nothing that is called done. */
async function targetsLeast(world: World): Promise<void> {
  const scene = await world.scene({
    level: "blocks",
    roles: [
      { name: "prefill", cache: middleCache, holds: "pattern" },
      { name: "decode", cache: middleCache, holds: "poison", options: { floor: "full" } },
    ],
  })
  const [source, target] = [scene.agent("prefill"), scene.agent("decode")]
  const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
  const options = { direction: "write", integrity: "none" } as const
  const transfer = await scene.prepareSequence(source, target, tables, options)
  const end = await runToItsEnd(transfer)
  hold(
    end?.state !== "done" || /^full identical$/.test(end.receipt?.integrity ?? ""),
    "no-error",
    "a write without proof was called done by a target that wants all of them proven",
  )
  if (end === undefined) transfer.fail()
  else await holdToItsWord(transfer, end)
  await scene.check()
}

/** Blocks that are no multiple of the source's, nor the other way round. */
const otherBlocks = { ...middleCache, blockTokens: 6, blocks: 480 }

const agentLevels = [
  {
    targetCache: middleCache,
    options: { integrity: "sampled" },
    asked: [{ used: "sampled" }, { level: "full", used: "full" }],
  },
  { targetCache: otherBlocks, options: { integrity: "full" }, asked: [{ used: "full" }] },
  {
    targetCache: otherBlocks,
    options: { integrity: "epoch", floor: "full" },
    asked: [{ used: "full" }, { level: "none", used: "full" }],
  },
] as const

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
  ...(
    [
      ["read", false],
      ["read", true],
      ["write", false],
    ] as const
  ).map(
    ([direction, pull]): JudgeCase => ({
      suite: "receipts",
      name: `levels-of-agents-${pull ? "one-call" : direction}`,
      title: "A transfer that names no proof gets none, or less than its agent wants at least.",
      needs: [direction, "blocks", "receipts", "integrity"],
      run: (world) => levelsOfAgents(world, direction, pull),
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
