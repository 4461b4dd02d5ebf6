import assert from "node:assert/strict"
import { test } from "node:test"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { beginDeal, Deal, type DealMemory, dealMemory } from "./deal.ts"

/** What one thread is told: it has one lane, on the rail of the same number. */
interface Task {
  readonly deal: DealMemory
  readonly length: Uint32Array<SharedArrayBuffer>
  /** How often each unit was proven, counted beside the deal. */
  readonly proofs: Int32Array<SharedArrayBuffer>
  readonly lane: number
  readonly seed: number
  /** The lane is lost after so many takes, if ever. */
  readonly losesAfter: number
}

interface Done {
  readonly bytes: number
  readonly reported: boolean
}

const units = 20_000
const lanes = 4

/** Takes, proves, gives back and is lost, as fast as it can, beside the others. */
function work({ deal: memory, length, proofs, lane, seed, losesAfter }: Task): Done {
  const deal = new Deal(memory, length)
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % below
  }
  let [bytes, reported, takes] = [0, false, 0]
  while (deal.state === "moving") {
    const count = deal.take(lane, 1 + random(32), 100_000)
    if (count === 0) {
      reported ||= deal.claimEnd()
      continue
    }
    takes += 1
    const { first } = deal
    // A part of the run fails, anywhere in it.
    const failed = random(4) === 0 ? random(count + 1) : 0
    let sum = 0
    for (let unit = first; unit < first + count - failed; unit++) {
      Atomics.add(proofs, unit, 1)
      sum += length[unit]!
    }
    bytes += sum
    if (takes === losesAfter) deal.laneLost(lane)
    deal.giveBack(first + count - failed, failed)
    deal.proved(lane, count - failed, sum)
    reported ||= deal.claimEnd()
  }
  reported ||= deal.claimEnd()
  return { bytes, reported }
}

if (!isMainThread) parentPort!.postMessage(work(workerData as Task))
else {
  for (const [name, losesAfter] of [
    ["threads that take from one deal at once prove every unit exactly once", [0, 0, 0, 0]],
    [
      "three of four threads lose their lanes on the way, and every unit is proven exactly once",
      [50, 1, 90, 0],
    ],
  ] as const) {
    test(name, async () => {
      const shared = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes)
      const length = new Uint32Array(shared(units * 4)).map((_, unit) => 1 + (unit % 4096))
      const column = new Uint32Array(shared(units * 4))
      column.set(length)
      const proofs = new Int32Array(shared(units * 4))
      const deal = dealMemory(units, lanes, lanes)
      const share = units / lanes
      beginDeal(
        deal,
        losesAfter.map((_, lane) => ({ start: lane * share, end: (lane + 1) * share })),
      )
      const ends = await Promise.all(
        losesAfter.map(async (after, lane) => {
          const task: Task = { deal, length: column, proofs, lane, seed: 1 + lane * 77, losesAfter: after }
          const thread = new Worker(new URL(import.meta.url), { workerData: task })
          return new Promise<Done>((resolve, reject) => {
            thread.once("message", resolve)
            thread.once("error", reject)
          })
        }),
      )
      assert.ok(proofs.every((count) => count === 1))
      const view = new Deal(deal, column)
      assert.equal(view.state, "done")
      assert.equal(view.outstanding, 0)
      assert.equal(ends.filter(({ reported }) => reported).length, 1, "one thread reports the end")
      ends.forEach(({ bytes }, rail) => {
        assert.equal(view.bytesByRail(rail), bytes)
      })
      assert.equal(
        view.landed,
        column.reduce((sum, bytes) => sum + bytes, 0),
      )
    })
  }
}
