import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { beginDeal, Deal, type DealMemory, dealMemory, type Share, threadsIn } from "./deal.ts"
import { LaneWindow } from "./lane-window.ts"

interface Posted {
  readonly request: number
  readonly deal: Deal
  readonly unit: number
  readonly signalled: boolean
}

/** A lane with its window, and the queue of a NIC behind it. */
interface ModelLane {
  readonly window: LaneWindow
  readonly depth: number
  readonly bytesMax: number
  readonly ordered: boolean
  readonly signalEvery: number
  unsignalled: number
  alive: boolean
  queue: Posted[]
}

const lanesArbitrary = fc.array(
  fc.record({
    rail: fc.nat(2),
    depth: fc.integer({ min: 2, max: 9 }),
    bytesMax: fc.integer({ min: 1, max: 200 }),
    every: fc.integer({ min: 1, max: 4 }),
    ordered: fc.boolean(),
    share: fc.integer({ min: 0, max: 5 }),
  }),
  { minLength: 1, maxLength: 5 },
)

const scenario = fc.record({
  lanes: lanesArbitrary,
  moves: fc.array(fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 40 }), {
    minLength: 1,
    maxLength: 3,
  }),
  steps: fc.array(
    fc.record({
      what: fc.constantFrom(
        "post",
        "post",
        "post",
        "complete",
        "complete",
        "fail one",
        "lose",
        "mend",
        "stop",
      ),
      lane: fc.nat(),
      pick: fc.nat(),
    }),
    { maxLength: 120 },
  ),
})

/** Shares whose sizes stand to each other like the weights; all in the first where all are 0. */
function sharesOf(units: number, weights: readonly number[]): Share[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  let weighed = 0
  let start = 0
  return weights.map((weight, lane) => {
    weighed += weight
    const end = lane === weights.length - 1 ? units : Math.floor((units * weighed) / Math.max(1, total))
    const share = { start, end }
    start = end
    return share
  })
}

/** Several moves over lanes that post, complete in any order, fail and are mended; everything is counted beside the code. */
class Model {
  readonly lanes: ModelLane[]
  readonly rails: number[]
  readonly deals: Deal[] = []
  readonly memories: DealMemory[] = []
  readonly lengths: Uint32Array[]
  /** By move and unit: who has it now, and how often it was proven. */
  readonly holder: (number | undefined)[][]
  readonly proofs: number[][]
  readonly givenBack: number[]
  readonly stopped: boolean[]
  readonly ends: number[]

  constructor(given: typeof scenario extends fc.Arbitrary<infer T> ? T : never) {
    this.rails = given.lanes.map(({ rail }) => rail)
    this.lanes = given.lanes.map(({ rail, depth, bytesMax, every, ordered }) => ({
      window: new LaneWindow({
        rail,
        depth,
        bytesMax,
        ordered,
      }),
      depth,
      bytesMax,
      ordered,
      signalEvery: Math.max(1, Math.min(every, Math.floor(depth / 2))),
      unsignalled: 0,
      alive: true,
      queue: [],
    }))
    this.lengths = given.moves.map((lengths) => Uint32Array.from(lengths))
    for (const length of this.lengths) {
      const memory = dealMemory(length.length, this.lanes.length, 3)
      beginDeal(
        memory,
        sharesOf(
          length.length,
          given.lanes.map(({ share }) => share),
        ),
      )
      this.memories.push(memory)
      this.deals.push(new Deal(memory, length))
    }
    this.holder = this.lengths.map(({ length }) => new Array<number | undefined>(length).fill(undefined))
    this.proofs = this.lengths.map(({ length }) => new Array<number>(length).fill(0))
    this.givenBack = this.lengths.map(() => 0)
    this.stopped = this.lengths.map(() => false)
    this.ends = this.lengths.map(() => 0)
  }

  post(at: number, move: number): boolean {
    const lane = this.lanes[at]!
    const { window } = lane
    const deal = this.deals[move]!
    const length = this.lengths[move]!
    const count = deal.take(at, window.room, window.bytesRoom)
    if (count > 0) assert.ok(lane.alive && !this.stopped[move], "only a live lane of a live move gets work")
    const { first } = deal
    for (let unit = first; unit < first + count; unit++) {
      assert.equal(this.holder[move]![unit], undefined, "a unit is at one lane at a time")
      assert.equal(this.proofs[move]![unit], 0, "a proven unit is not dealt again")
      this.holder[move]![unit] = at
      const request = window.push(deal, unit, length[unit]!)
      // As a fabric does: the last of a chain asks for its completion, and of an ordered lane every so many before it.
      const signalled = unit === first + count - 1 || !lane.ordered || ++lane.unsignalled >= lane.signalEvery
      if (signalled) lane.unsignalled = 0
      assert.ok(signalled || lane.ordered, "where there is no order, each request has its completion")
      lane.queue.push({ request, deal, unit, signalled })
    }
    assert.ok(window.outstanding <= lane.depth, "never more than the depth")
    const longest = Math.max(
      0,
      ...lane.queue.map(({ deal: of, unit }) => this.lengths[this.deals.indexOf(of)]![unit]!),
    )
    assert.ok(window.bytesOutstanding < lane.bytesMax + longest, "bytes go over by one request at most")
    assert.equal(lane.queue.length, window.outstanding)
    this.#look(move)
    return count > 0
  }

  complete(at: number, pick: number): boolean {
    const lane = this.lanes[at]!
    const signalled = lane.queue.filter((posted) => posted.signalled)
    if (signalled.length === 0) return false
    // An ordered lane may be heard of late: the completion of a later request can be the first that is seen.
    const seen = signalled[pick % signalled.length]!
    assert.ok(lane.window.succeeded(seen.request))
    const proven = lane.ordered ? lane.queue.slice(0, lane.queue.indexOf(seen) + 1) : [seen]
    lane.queue = lane.queue.filter((posted) => !proven.includes(posted))
    for (const { deal, unit } of proven) this.#proved(deal, unit)
    assert.equal(lane.window.succeeded(seen.request), false, "a completion counts once")
    return true
  }

  failOne(at: number, pick: number): void {
    const lane = this.lanes[at]!
    if (lane.queue.length === 0) return
    const failed = lane.queue[pick % lane.queue.length]!
    assert.equal(lane.window.unitOf(failed.request)?.unit, failed.unit)
    assert.ok(lane.window.failed(failed.request))
    assert.equal(lane.window.failed(failed.request), false, "a failure counts once")
    lane.queue = lane.queue.filter((posted) => posted !== failed)
    this.#returned(failed)
    // A reliable connection is in its error state then: the requests before it that were not signalled are never heard of.
    if (lane.ordered) this.lose(at)
  }

  lose(at: number): void {
    const lane = this.lanes[at]!
    const { queue } = lane
    for (const deal of this.deals) deal.laneLost(at)
    lane.alive = false
    lane.queue = []
    assert.equal(lane.window.lost(), queue.length)
    for (const posted of queue) this.#returned(posted)
    for (const { request } of queue)
      assert.equal(lane.window.succeeded(request), false, "a late completion proves nothing")
  }

  mend(at: number): void {
    for (const deal of this.deals) deal.laneBack(at)
    this.lanes[at]!.alive = true
  }

  stop(move: number): void {
    this.deals[move]!.stop()
    this.stopped[move] = true
    this.#look(move)
  }

  /** Lets everything that can go on go on; after it each move has ended, or has no lane left. */
  settle(): void {
    for (let again = true; again; ) {
      again = false
      this.lanes.forEach((lane, at) => {
        this.deals.forEach((_, move) => {
          if (lane.alive && this.post(at, move)) again = true
        })
        while (this.complete(at, 0)) again = true
      })
    }
  }

  check(): void {
    this.deals.forEach((deal, move) => {
      const proofs = this.proofs[move]!
      const left = proofs.filter((count) => count === 0).length
      assert.ok(
        proofs.every((count) => count <= 1),
        "no unit is proven twice",
      )
      const anyAlive = this.lanes.some(({ alive }) => alive)
      const expected = left === 0 ? "done" : this.stopped[move] ? "stopped" : "stranded"
      assert.equal(deal.state, expected)
      if (anyAlive && !this.stopped[move]) assert.equal(left, 0, "with a lane left, everything arrives")
      assert.equal(deal.outstanding, 0)
      if (expected !== "stranded") assert.equal(deal.wanted, false, "nobody is kept awake after the end")
      assert.equal(deal.retries, this.givenBack[move])
      const bytes = [...this.lengths[move]!].reduce(
        (sum, length, unit) => sum + (proofs[unit] === 1 ? length : 0),
        0,
      )
      assert.equal(deal.landed, bytes)
      this.#look(move)
      assert.equal(this.ends[move], expected === "stranded" ? 0 : 1, "one thread reports the end")
    })
  }

  #proved(deal: Deal, unit: number): void {
    const move = this.deals.indexOf(deal)
    this.holder[move]![unit] = undefined
    this.proofs[move]![unit]! += 1
    this.#look(move)
  }

  #returned({ deal, unit }: Posted): void {
    const move = this.deals.indexOf(deal)
    this.holder[move]![unit] = undefined
    this.givenBack[move]! += 1
    this.#look(move)
  }

  #look(move: number): void {
    if (this.deals[move]!.claimEnd()) this.ends[move]! += 1
  }
}

test("every byte is proven exactly once, whatever completes, fails, is lost and mended, in whatever order", () => {
  fc.assert(
    fc.property(scenario, (given) => {
      const model = new Model(given)
      for (const { what, lane, pick } of given.steps) {
        const at = lane % model.lanes.length
        const move = pick % model.deals.length
        if (what === "post") model.post(at, move)
        if (what === "complete") model.complete(at, pick)
        if (what === "fail one") model.failOne(at, pick)
        if (what === "lose") model.lose(at)
        if (what === "mend") model.mend(at)
        if (what === "stop" && pick % 5 === 0) model.stop(move)
      }
      model.settle()
      // A move whose every unit waits at lanes that never began has nobody to wait for: they begin now.
      model.settle()
      model.check()
    }),
    { numRuns: 1000 },
  )
})

function twoLanes(units: number, shares: Share[]): { memory: DealMemory; deal: Deal } {
  const memory = dealMemory(units, 2, 2)
  beginDeal(memory, shares)
  return { memory, deal: new Deal(memory, new Uint32Array(units).fill(10)) }
}

test("a lane takes nothing from one that has not begun, and at most half of what another has left", () => {
  const { deal } = twoLanes(20, [
    { start: 0, end: 10 },
    { start: 10, end: 20 },
  ])
  assert.equal(deal.take(0, 100, 1000), 10)
  assert.equal(deal.take(0, 100, 1000), 0, "the other's thread may only be waking up")
  assert.equal(deal.wanted, true)
  assert.equal(deal.take(1, 2, 1000), 2)
  assert.equal(deal.first, 10)
  assert.equal(deal.take(0, 100, 1000), 4)
  assert.equal(deal.first, 12)
  deal.laneLost(1)
  assert.equal(deal.take(1, 100, 1000), 0)
  assert.equal(deal.take(0, 100, 1000), 2)
})

test("the share of a lane that was lost before the move began goes to the others", () => {
  const { deal } = twoLanes(8, [
    { start: 0, end: 8, alive: false },
    { start: 8, end: 8 },
  ])
  let taken = 0
  for (let count = deal.take(1, 3, 25); count > 0; count = deal.take(1, 3, 25)) {
    assert.ok(count <= 2, "two units fit 25 bytes")
    taken += count
    deal.proved(1, count, count * 10)
  }
  assert.equal(taken, 8)
  assert.equal(deal.state, "done")
  assert.deepEqual([deal.bytesByRail(0), deal.bytesByRail(1)], [0, 80])
})

test("without a lane the post is stranded, which is no end: a lane that is mended goes on", () => {
  const { deal } = twoLanes(2, [
    { start: 0, end: 2 },
    { start: 2, end: 2 },
  ])
  assert.equal(deal.take(0, 2, 100), 2)
  deal.laneLost(0)
  deal.laneLost(0)
  assert.equal(deal.state, "moving")
  deal.laneLost(1)
  assert.equal(deal.state, "moving", "two units are still outstanding")
  deal.giveBack(0, 2)
  assert.equal(deal.state, "stranded")
  assert.equal(deal.claimEnd(), false)
  deal.laneBack(1)
  assert.equal(deal.state, "moving")
  assert.equal(deal.take(1, 2, 100), 2)
  deal.proved(1, 2, 20)
  assert.equal(deal.claimEnd(), true)
  assert.equal(deal.claimEnd(), false)
  assert.equal(deal.retries, 2)
})

test("a stop is over when what was outstanding has ended, and a late last completion makes it done", () => {
  const { memory, deal } = twoLanes(2, [
    { start: 0, end: 2 },
    { start: 2, end: 2 },
  ])
  const other = new Deal(memory, new Uint32Array(2).fill(10))
  deal.enter()
  assert.equal(threadsIn(memory), 1)
  assert.equal(deal.take(0, 1, 100), 1)
  other.stop()
  assert.equal(deal.take(0, 1, 100), 0)
  assert.equal(deal.wanted, false)
  assert.equal(deal.state, "moving")
  deal.giveBack(0, 1)
  assert.equal(other.state, "stopped")
  assert.throws(() => beginDeal(memory, [{ start: 0, end: 0 }]), /broken invariant/)
  assert.throws(() => {
    beginDeal(memory, [
      { start: 0, end: 2 },
      { start: 2, end: 2 },
    ])
  }, /no thread is left/)
  deal.leave()
  beginDeal(memory, [
    { start: 0, end: 2 },
    { start: 2, end: 2 },
  ])
  assert.equal(deal.take(0, 2, 100), 2)
  deal.stop()
  deal.proved(0, 2, 20)
  assert.equal(deal.state, "done")
})

test("an empty move is done at once", () => {
  const { deal } = twoLanes(0, [
    { start: 0, end: 0 },
    { start: 0, end: 0 },
  ])
  assert.equal(deal.state, "done")
  assert.equal(deal.claimEnd(), true)
  assert.equal(deal.wanted, false)
})
