import { setTimeout as sleep } from "node:timers/promises"
import type { JudgeCase } from "./case.ts"
import { hold, NotSupported } from "./case-failed.ts"
import { refusalOf } from "./faults/large.ts"
import { randomTables } from "./tables.ts"
import { pairOf, type World } from "./world.ts"

/** A lease without a sign of life ends after this; a transfer waits for several times as long. */
const holdMillis = 1000
const waitMillis = 3500
/** What was lent has been sealed by then. */
const sealMillis = 150

/** A transfer is prepared, and posted long after: what was lent for it must still be there. */
async function postedLate(world: World): Promise<void> {
  onlyOurs(world)
  const { scene, source, target } = await pairOf(world, { level: "blocks", options: { holdMillis } })
  const tables = randomTables(world.random, source, target, 12 * source.cache.blockTokens)
  const transfer = await scene.prepareSequence(source, target, tables, { direction: "read" })
  await sleep(waitMillis)
  await transfer.run()
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
  const refused = await refusalOf(transfer.post())
  const end = refused === undefined ? await transfer.end() : undefined
  hold(end?.state !== "done", "no-error", "a read under a lease that was taken back was called done")
  transfer.fail()
  await scene.check()
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
  const refused = await refusalOf(transfer.post())
  const end = refused === undefined ? await transfer.end() : undefined
  source.memory(0)[at] = source.expected[0]![at]!
  hold(end?.state !== "done", "no-error", "one bit changed after it was lent, and the read was called done")
  transfer.fail()
  await sleep(sealMillis)
  const notes = await source.notes()
  hold(notes.length === 0, "notes", `a read that failed told its source ${JSON.stringify(notes[0]?.text)}`)
  await scene.check()
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
    suite: "order",
    name: "no-note-of-wrong-bytes",
    title: "The source is told that its blocks have arrived, and frees them, though the bytes were wrong.",
    needs: ["read", "blocks", "notify", "integrity"],
    run: noNoteOfWrongBytes,
  },
]
