import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "./case.ts"
import { hold, NotSupported } from "./case-failed.ts"
import {
  largeCache,
  mustStillWork,
  prepareLarge,
  refusalOf,
  runToItsEnd,
  watchMillis,
} from "./faults/large.ts"
import { notes } from "./notes.ts"
import { sequencePieces } from "./pieces.ts"
import { randomTables } from "./tables.ts"
import { Transfer } from "./transfer.ts"
import { firstBlock, middleCache, type Pair, pairOf, type World } from "./world.ts"

/** A lease without a sign of life ends after this; a transfer waits for several times as long. */
const holdMillis = 1000
const waitMillis = 3500
/** What was lent has been sealed by then. */
const sealMillis = 150

/**
 * Transfers are prepared, and posted long after: what was lent for each of them must still be there. Once both sides want signs of
 * life that often; once the lender alone, whose offers are over by then.
 */
async function postedLate(world: World): Promise<void> {
  onlyOurs(world)
  const both = { holdMillis }
  for (const [source, target] of [
    [both, both],
    [{ holdMillis, leaseMillis: waitMillis - 500 }, {}],
  ] as const) {
    const scene = await world.scene({
      level: "blocks",
      roles: [
        { name: "prefill", cache: middleCache, holds: "pattern", options: source },
        { name: "decode", cache: middleCache, holds: "poison", options: target },
      ],
    })
    await waitAndPost(world, {
      scene,
      source: scene.agent("prefill"),
      target: scene.agent("decode"),
    })
  }
}

async function waitAndPost(world: World, { scene, source, target }: Pair): Promise<void> {
  const transfers: Transfer[] = []
  for (let i = 0; i < 5; i++) {
    const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
    transfers.push(await scene.prepareSequence(source, target, tables, { direction: "read" }))
  }
  await sleep(waitMillis)
  for (const transfer of transfers) {
    await transfer.run()
    await scene.check()
    target.poisonAgain()
  }
}

/** So many are taken back, one after the other, each after that time. */
const takenBackCount = 10
const leasesHeld = takenBackCount + 5
const blocksEach = 5
const takenBackEvery = 250

/** Leases are taken back one after the other, for several times as long as one lasts without a sign of life: the others are kept. */
async function withdrawnOneByOne(world: World): Promise<void> {
  onlyOurs(world)
  const { scene, source, target } = await pairOf(world, { level: "blocks", options: { holdMillis } })
  const transfers: Transfer[] = []
  // No two have a block in common: what is taken back is one request's alone.
  const [from, to] = [source, target].map(({ cache }) =>
    world.random.distinct(leasesHeld * blocksEach, firstBlock, cache.blocks),
  )
  for (let i = 0; i < leasesHeld; i++) {
    const own = (blocks: readonly number[]) => blocks.slice(i * blocksEach, (i + 1) * blocksEach)
    const tokens = blocksEach * source.cache.blockTokens
    const tables = { sourceBlocks: own(from!), targetBlocks: own(to!), tokens }
    const level = { direction: "read", integrity: "epoch" } as const
    transfers.push(await scene.prepareSequence(source, target, tables, level))
  }
  for (const transfer of transfers.slice(0, takenBackCount)) {
    await source.driver.ask("withdraw", { offer: transfer.offer })
    await sleep(takenBackEvery)
  }
  for (const transfer of transfers.slice(takenBackCount)) {
    await transfer.run()
    await scene.check()
    target.poisonAgain()
  }
  await sleep(holdMillis)
  for (const transfer of transfers.slice(0, takenBackCount)) {
    const end = await runToItsEnd(transfer)
    hold(end?.state !== "done", "no-error", "a read under a lease that was taken back was called done")
    transfer.fail()
    await transfer.release()
  }
  await scene.check()
}

/** A lease is taken back, and its holder has been told: a read under it must fail, though its bytes are still there. */
async function underWithdrawnLease(world: World): Promise<void> {
  onlyOurs(world)
  const { scene, source, target } = await pairOf(world, { level: "blocks", options: { holdMillis } })
  const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
  // Hashes would have to be asked for, and the owner would say no: with stamps alone it is the holder who must look.
  const level = { direction: "read", integrity: "epoch" } as const
  const transfer = await scene.prepareSequence(source, target, tables, level)
  await source.driver.ask("withdraw", { offer: transfer.offer })
  await sleep(waitMillis)
  const end = await runToItsEnd(transfer)
  hold(end?.state !== "done", "no-error", "a read under a lease that was taken back was called done")
  transfer.fail()
  await scene.check()
}

/** The source hears of reads in one call as it does of the others. */
async function notesOfOneCall(world: World): Promise<void> {
  onlyOurs(world)
  await notes(world, "blocks", "read", { pull: true })
}

/** A read in one call finds wrong bytes: its note must not say that it is done. */
async function noNoteOfWrongBytes(world: World): Promise<void> {
  onlyOurs(world)
  const { scene, source, target } = await pairOf(world, { level: "blocks", options: { pull: true } })
  const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
  await scene.reuse(source, tables.sourceBlocks)
  await source.notes()
  const options = { direction: "read", integrity: "full", note: "done" } as const
  const transfer = await scene.prepareSequence(source, target, tables, options)
  await sleep(sealMillis)
  const at = tables.sourceBlocks[3]! * source.blockBytes + 5
  source.memory(0)[at]! ^= 1
  const end = await runToItsEnd(transfer)
  source.memory(0)[at] = source.expected[0]![at]!
  hold(end?.state !== "done", "no-error", "one bit changed after it was lent, and the read was called done")
  transfer.fail()
  await sleep(sealMillis)
  const notes = await source.notes()
  hold(notes.length === 0, "notes", `a read that failed told its source ${JSON.stringify(notes[0]?.text)}`)
  await scene.check()
}

/**
 * Blocks that a peer fills are taken back while it writes: from the answer on they are their owner's, and nothing of that write
 * comes any more.
 */
async function withdrawnUnderWay(world: World): Promise<void> {
  onlyOurs(world)
  const pair = await pairOf(world, { level: "blocks", cache: largeCache })
  const { scene, target } = pair
  for (const delayMillis of [0, 1, 2, 4, 8].slice(0, world.rounds(8))) {
    const transfer = await prepareLarge(world, pair, "blocks", { direction: "write" })
    await transfer.post()
    await sleep(delayMillis)
    await target.driver.ask("withdraw", { offer: transfer.offer })
    // Somebody else's from now on.
    transfer.fail()
    target.poisonAgain()
    transfer.mustBe(await transfer.end(), "failed", "done")
    await sleep(watchMillis)
    await scene.check()
    await transfer.release()
    scene.forget(target)
  }
  await mustStillWork(world, pair, "blocks")
}

/**
 * A writer stops in mid-write, without a word, until its lease has run out: when its owner has the blocks back they are the
 * owner's, whatever the writer does when it wakes up.
 */
async function expiredUnderWay(world: World): Promise<void> {
  onlyOurs(world)
  for (const delayMillis of [1, 3, 6, 10]) {
    const options = { holdMillis: holdMillis / 2 }
    const pair = await pairOf(world, { level: "blocks", cache: largeCache, fresh: true, options })
    const { scene, source, target } = pair
    const transfer = await prepareLarge(world, pair, "blocks", { direction: "write", integrity: "none" })
    await transfer.post()
    await sleep(delayMillis)
    source.driver.pause()
    let back: Promise<unknown> | undefined
    try {
      await sleep(holdMillis)
      // It has run out. Answered when the blocks are the owner's again; that may need the writer's help.
      back = refusalOf(target.driver.ask("withdraw", { offer: transfer.offer }, { millis: waitMillis * 4 }))
      await Promise.race([back, sleep(watchMillis)])
    } finally {
      source.driver.resume()
    }
    await back
    transfer.fail()
    target.poisonAgain()
    await sleep(watchMillis)
    await scene.check()
  }
}

/** What was lent to be filled is read, and what was lent for reading is filled: neither goes, and nothing moves. */
async function otherWay(world: World): Promise<void> {
  onlyOurs(world)
  const { scene, source, target } = await pairOf(world, { level: "blocks" })
  for (const direction of ["read", "write"] as const) {
    const tables = randomTables(world.random, source, target, 6 * source.cache.blockTokens)
    const { tokens, sourceBlocks, targetBlocks } = tables
    const [poster, peer] = direction === "read" ? [target, source] : [source, target]
    await scene.connect(poster, peer)
    const [lent, blocks] = direction === "read" ? [sourceBlocks, targetBlocks] : [targetBlocks, sourceBlocks]
    const access = direction === "read" ? "write" : "read"
    const { offer } = await peer.driver.ask("lend", { blocks: lent, tokens, access })
    const pieces = sequencePieces(source.cache, target.cache, tables)
    const refused = await refusalOf(
      (async () => {
        // With stamps alone: a proof would fail for reasons of its own.
        const options = { direction, integrity: "epoch", sequence: { offer, blocks, tokens } } as const
        const end = await runToItsEnd(await Transfer.prepare(source, target, pieces, options))
        const what = `a ${direction} of blocks that were lent for a ${access} was called done`
        hold(end?.state !== "done", "no-error", what)
      })(),
    )
    hold(
      refused === undefined || refused.text !== "",
      "no-reason",
      `a ${direction} was refused without a word`,
    )
    await scene.check()
  }
}

function onlyOurs({ engine }: World): void {
  if (engine.family !== "kvferry") throw new NotSupported("its driver has no such option")
}

/** Leases as kvferry has them: no other engine that is judged knows any. */
export const ownLeases: readonly JudgeCase[] = [
  {
    suite: "lifecycle",
    name: "posted-late",
    title: "A transfer that had to wait finds that its blocks were given to somebody else meanwhile.",
    needs: ["read", "blocks", "epochs"],
    run: postedLate,
  },
  {
    suite: "faults",
    name: "withdrawn-long-ago",
    title:
      "A request reads blocks that their owner has taken back, because nobody looked at the lease again.",
    needs: ["read", "blocks", "epochs"],
    run: underWithdrawnLease,
  },
  {
    suite: "faults",
    name: "withdrawn-one-by-one",
    title: "When one request's blocks are taken back, those of the others are lost too.",
    needs: ["read", "blocks", "epochs"],
    run: withdrawnOneByOne,
  },
  {
    suite: "faults",
    name: "withdrawn-under-way-write",
    title:
      "Blocks that were taken back from their writer are still written, over what the next request has there.",
    needs: ["write", "blocks", "epochs"],
    run: withdrawnUnderWay,
  },
  {
    suite: "faults",
    name: "expired-under-way-write",
    title: "A writer that wakes up after its time writes over what the next request has in its blocks.",
    needs: ["write", "blocks", "epochs"],
    run: expiredUnderWay,
  },
  {
    suite: "faults",
    name: "lent-the-other-way",
    title:
      "Blocks that are being filled are read before they are full, or blocks that are being read are written over.",
    needs: ["read", "write", "blocks", "epochs"],
    run: otherWay,
  },
  {
    suite: "order",
    name: "notes-one-call",
    title: "The short way to read a sequence tells its source too early, twice, or never.",
    needs: ["read", "blocks", "notify"],
    run: notesOfOneCall,
  },
  {
    suite: "order",
    name: "no-note-of-wrong-bytes",
    title: "The source is told that its blocks have arrived, and frees them, though the bytes were wrong.",
    needs: ["read", "blocks", "notify", "integrity"],
    run: noNoteOfWrongBytes,
  },
]
