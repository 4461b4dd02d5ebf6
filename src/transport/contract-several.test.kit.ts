/**
 * The part of the contract about what is easily looked at for the first of several only: regions of one transfer, posts of one
 * prepared move, requests of one list. A model has a region for each layer, so a transfer of one region is the rare one.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { xxh64 } from "@node-rs/xxhash"
import { KvError } from "../errors/kv-error.ts"
import type { HostMapping } from "../memory/host-memory.ts"
import { hostMemory } from "../os/host-memory.ts"
import { stripe } from "../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../plan/transfer-plan.ts"
import {
  assertAll,
  assertMoved,
  assertQuiet,
  assertRejects,
  both,
  type CaseName,
  mib,
  nextUse as next,
  openRig,
  type Piece,
  planOf,
  poison,
  type Rig,
  regionBytes,
  scattered,
  soon,
} from "./contract-rig.test.kit.ts"
import type { Move, RegionDescriptor, Transport } from "./transport.ts"

type Direction = Move["direction"]
type It = (name: string, body: () => Promise<void>, caseName?: CaseName) => void

const directions = ["read", "write"] as const
const owners = ["the peer", "this side"] as const
/** Regions of each side in a transfer of several. */
const several = 3
/** More than any fabric has under way at one time over one connection. */
const many = 1500

/** Three regions of a side, numbered from `first`. */
interface Side {
  readonly regions: readonly number[]
  readonly spans: readonly HostMapping[]
  readonly descriptors: readonly RegionDescriptor[]
}

async function sideOf(endpoint: Rig["a"], first: number, lengths: readonly number[]): Promise<Side> {
  const regions = lengths.map((_, i) => first + i)
  const spans = lengths.map((length, i) => hostMemory.map(length, `contract-several-${first + i}`))
  const descriptors: RegionDescriptor[] = []
  for (const [i, region] of regions.entries())
    descriptors.push(await endpoint.register(region, spans[i]!, both))
  return { regions, spans, descriptors }
}

/** Two sides with three regions each, beside those of the rig. */
async function withSides(
  transport: Transport,
  {
    theirs,
    ours,
    rails,
  }: Record<"theirs" | "ours", readonly number[]> & { rails?: readonly [number, number] },
  body: (rig: Rig, there: Side, here: Side) => Promise<void>,
): Promise<void> {
  const spans: HostMapping[] = []
  try {
    await using rig = await openRig(transport, rails === undefined ? {} : { rails })
    const there = await sideOf(rig.a, 40, theirs)
    const here = await sideOf(rig.b, 60, ours)
    spans.push(...there.spans, ...here.spans)
    await body(rig, there, here)
  } finally {
    for (const span of spans) span[Symbol.dispose]()
  }
}

/** Region i of one side into region i of the other, in runs of `length` bytes that take turns. */
function inTurns(direction: Direction, there: Side, here: Side, count: number, length: number): TransferPlan {
  const [from, to] = direction === "read" ? [there, here] : [here, there]
  const builder = new PlanBuilder(count * several)
  for (let i = 0; i < count; i++) {
    for (let region = 0; region < several; region++)
      builder.add(from.regions[region]!, i * length, to.regions[region]!, i * length, length, 0)
  }
  return builder.finish()
}

export function severalContract(transport: Transport, it: It): void {
  for (const direction of directions) {
    for (const owner of owners) {
      it(`a ${direction} of several regions is refused once ${owner} has closed any of them`, () =>
        oneClosedBefore(transport, direction, owner))
      it(`a region that ${owner} closes during a ${direction} of several is left before it is closed`, () =>
        oneClosedUnderWay(transport, direction, owner))
    }
    it(`a ${direction} leaves no region, also where others are longer`, () =>
      shortRegions(transport, direction))
    it(`a session that ends during a ${direction} is over when it has ended`, () =>
      dismissed(transport, direction))
    it(`more moves than may be under way ${direction} all the same, when those that were refused are posted again`, () =>
      tooMany(transport, direction))
  }
  for (const rails of [
    [1, 1],
    [2, 3],
  ] as const) {
    const [where, caseName] =
      rails[1] === 1 ? (["", undefined] as const) : ([", on each of its rails", "unequal rails"] as const)
    it(
      `a prepared read that was stopped is posted again, and brings its own bytes${where}`,
      () => stoppedAndAgain(transport, rails),
      caseName,
    )
    it(
      `a write that was stopped reads its source no more${where}`,
      () => stoppedWrite(transport, rails),
      caseName,
    )
    it(
      `what is hashed as it lands is hashed anew at each post, in pieces of any size${where}`,
      () => hashedAnew(transport, rails),
      caseName,
    )
  }
  it("a region that this side closes is left by a small read too, beside a large one", () =>
    smallBesideLarge(transport))
}

async function oneClosedBefore(transport: Transport, direction: Direction, owner: string): Promise<void> {
  const lengths = Array.from({ length: several }, () => 64 * 1024)
  await withSides(transport, { theirs: lengths, ours: lengths }, async (rig, there, here) => {
    const remote = there.descriptors
    // One that takes the shortest way a fabric has, and one that does not.
    const moves = [1, 12].map((count) =>
      rig.connection.prepare({ direction, plan: inTurns(direction, there, here, count, 4096), remote }),
    )
    for (const move of moves) await move.post({ deadline: soon() })
    const theirs = owner === "the peer"
    const [endpoint, side] = theirs ? [rig.a, there] : [rig.b, here]
    await endpoint.deregister(side.regions[several - 1]!)
    const memory = side.spans[several - 1]!.view(0, 64 * 1024)
    memory.fill(next)
    for (const move of moves) {
      await assertRejects(move.post({ deadline: soon() }), "KV_RKEY_REJECTED")
      await move[Symbol.asyncDispose]()
    }
    assertAll(memory, next)
    const plan = inTurns(direction, there, here, 1, 4096)
    const refused = (async () => await rig.connection.move({ direction, plan, remote, deadline: soon() }))()
    await assertRejects(refused, "KV_RKEY_REJECTED")
    assertAll(memory, next)
  })
}

/** As where a transfer has one region: its memory is somebody else's as soon as `deregister` has answered. */
async function oneClosedUnderWay(transport: Transport, direction: Direction, owner: string): Promise<void> {
  const length = 8 * mib
  const lengths = Array.from({ length: several }, () => length)
  // A first transfer of new regions asks for more than a later one.
  for (const [turns, first] of [
    [0, true],
    [0, false],
    [2, false],
  ] as const) {
    await withSides(transport, { theirs: lengths, ours: lengths }, async (rig, there, here) => {
      const reads = direction === "read"
      const [from, to] = reads ? [there, here] : [here, there]
      for (const span of from.spans) span.view(0, length).fill(1)
      for (const span of to.spans) span.view(0, length).fill(poison)
      const plan = inTurns(direction, there, here, length / (256 * 1024), 256 * 1024)
      const remote = there.descriptors
      const one = inTurns(direction, there, here, 1, 4096)
      if (!first) await rig.connection.move({ direction, plan: one, remote, deadline: soon() })
      const moving = ending(rig.connection.move({ direction, plan, remote, deadline: soon() }))
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      const [endpoint, side] = owner === "the peer" ? [rig.a, there] : [rig.b, here]
      await endpoint.deregister(side.regions[several - 1]!)
      const memory = side.spans[several - 1]!
      if (side === to) {
        await assertQuiet(memory)
        await moving
        await assertQuiet(memory)
        return
      }
      memory.view(0, length).fill(next)
      const done = await moving
      const found = Buffer.from(to.spans[several - 1]!.view(0, length))
      // A read that failed may have seen anything: nobody uses it. What leaves this side is a secret of the memory's next user.
      if (done) assertAll(found, 1)
      else if (!reads) assert.equal(found.indexOf(next), -1)
    })
  }
}

/** Whether a move ended well. */
async function ending(moving: Promise<unknown>): Promise<boolean> {
  try {
    await moving
    return true
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    return false
  }
}

async function shortRegions(transport: Transport, direction: Direction): Promise<void> {
  const [short, long] = [64 * 1024, mib]
  const sizes = { theirs: [short, long, short], ours: [long, short, long] }
  await withSides(transport, sizes, async (rig, there, here) => {
    const [from, to] = direction === "read" ? [there, here] : [here, there]
    for (const span of from.spans) span.view(0, span.byteLength).fill(1)
    for (const span of to.spans) span.view(0, span.byteLength).fill(poison)
    const remote = there.descriptors
    const move = (list: readonly (readonly [region: number, offset: number, length: number])[]) => {
      const builder = new PlanBuilder(list.length)
      for (const [i, offset, length] of list)
        builder.add(from.regions[i]!, offset, to.regions[i]!, offset, length, 0)
      return rig.connection.move({ direction, plan: builder.finish(), remote, deadline: soon() })
    }
    for (let place = 0; place < several; place++) {
      const others = [0, 1, 2].filter((other) => other !== place).map((other) => [other, 0, 100] as const)
      for (const [offset, length] of [
        [short - 10, 11],
        [short, 1],
        [short + 5000, 4096],
        [short - 4096, 300_000],
      ] as const) {
        const refused = (async () => await move([...others, [place, offset, length]]))()
        await assertRejects(refused, "KV_REGION_BOUNDS")
      }
    }
    // Up to its last byte each is open.
    await move([0, 1, 2].map((place) => [place, short - 10, 10]))
    for (const span of to.spans) {
      const bytes = span.view(0, span.byteLength)
      assertAll(bytes.subarray(200, short - 10), poison)
      assertAll(bytes.subarray(short - 10, short), 1)
      assertAll(bytes.subarray(short), poison)
    }
  })
}

async function dismissed(transport: Transport, direction: Direction): Promise<void> {
  for (const turns of [0, 2]) {
    await using rig = await openRig(transport)
    const reads = direction === "read"
    const [from, to] = reads ? [rig.source, rig.target] : [rig.target, rig.source]
    from.view(0, regionBytes).fill(1)
    to.view(0, regionBytes).fill(poison)
    const plan = planOf(direction, [[0, 0, regionBytes]])
    const moving = ending(rig.connection.move({ direction, plan, remote: rig.remote, deadline: soon() }))
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
    await rig.a.dismiss(rig.session.id)
    if (!reads) {
      await assertQuiet(to)
      await moving
      continue
    }
    from.view(0, regionBytes).fill(next)
    // What a read has brought from memory that was no longer lent to it does not count.
    if (await moving) assertAll(to.view(0, regionBytes), 1)
    await assertQuiet(to)
  }
}

async function tooMany(transport: Transport, direction: Direction): Promise<void> {
  await using rig = await openRig(transport)
  const pieces = scattered(2 * many, 100)
  const [from, to] = direction === "read" ? [rig.source, rig.target] : [rig.target, rig.source]
  from.view(0, regionBytes).set(rig.source.view(0, regionBytes))
  to.view(0, regionBytes).fill(poison)
  const moves = Array.from({ length: many }, (_, i) => {
    const plan = planOf(direction, [pieces[2 * i]!, pieces[2 * i + 1]!])
    return rig.connection.prepare({ direction, plan, remote: rig.remote })
  })
  for (let waiting = moves; waiting.length > 0; ) {
    const left: typeof moves = []
    await Promise.all(
      waiting.map(async (move) => {
        try {
          assert.equal((await move.post({ deadline: soon() })).bytes, 200)
        } catch (thrown) {
          assert.ok(thrown instanceof KvError && thrown.code === "KV_LIMIT", String(thrown))
          left.push(move)
        }
      }),
    )
    assert.ok(left.length < waiting.length, "none of those that were posted moved")
    waiting = left
  }
  assertMoved(from.view(0, regionBytes), to.view(0, regionBytes), pieces)
  for (const move of moves) await move[Symbol.asyncDispose]()
}

async function stoppedAndAgain(transport: Transport, rails: readonly [number, number]): Promise<void> {
  await using rig = await openRig(transport, { rails })
  const pieces: Piece[] = [[0, 0, regionBytes]]
  const plan = stripe(planOf("read", pieces), rails[1])
  await using move = rig.connection.prepare({ direction: "read", plan, remote: rig.remote })
  let stopped = 0
  for (let tries = 0; stopped < 6 && tries < 60; tries++) {
    const abort = new AbortController()
    const byDeadline = tries % 3 === 2
    const deadline = byDeadline ? performance.now() + 1 + (tries % 5) : soon()
    const first = ending(move.post({ deadline, signal: abort.signal }))
    for (let turn = 0; turn <= tries % 4; turn++) await new Promise(setImmediate)
    if (!byDeadline) abort.abort()
    if (await first) continue
    stopped += 1
    randomBytes(8 * mib).copy(rig.source.view(8 * mib, 8 * mib))
    rig.target.view(0, regionBytes).fill(poison)
    const moved = await move.post({ deadline: soon() })
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), pieces)
    const byRails = moved.rails.reduce((sum, { bytes }) => sum + bytes, 0)
    assert.deepEqual([moved.bytes, byRails], [regionBytes, regionBytes])
    if (move.landed !== undefined) assert.equal(move.landed(), regionBytes)
  }
  assert.ok(stopped > 0, "60 posts all ended before they could be stopped")
}

async function stoppedWrite(transport: Transport, rails: readonly [number, number]): Promise<void> {
  for (const [turns, millis] of [
    [0, undefined],
    [2, undefined],
    [0, 3],
  ] as const) {
    await using rig = await openRig(transport, { rails })
    rig.target.view(0, regionBytes).fill(1)
    rig.source.view(0, regionBytes).fill(poison)
    const plan = stripe(planOf("write", [[0, 0, regionBytes]]), rails[1])
    const abort = new AbortController()
    const deadline = millis === undefined ? soon() : performance.now() + millis
    const { signal } = abort
    const writing = ending(
      rig.connection.move({ direction: "write", plan, remote: rig.remote, deadline, signal }),
    )
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
    if (millis === undefined) abort.abort()
    const done = await writing
    if (done) assertAll(rig.source.view(0, regionBytes), 1)
    rig.target.view(0, regionBytes).fill(next)
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.equal(
      Buffer.from(rig.source.view(0, regionBytes)).indexOf(next),
      -1,
      "what came after the end was sent",
    )
  }
}

/** Long pieces that a fabric cuts, few small ones, and units that lie across the edges of what rails carry. */
async function hashedAnew(transport: Transport, rails: readonly [number, number]): Promise<void> {
  await using rig = await openRig(transport, { rails })
  const shapes: readonly (readonly [pieces: Piece[], unitsOfOne: number])[] = [
    [scattered(8, 5000), 2],
    [
      [
        [3, 5, 9 * mib + 1],
        [12 * mib + 7, 12 * mib + 1, 7 * mib + 3],
      ],
      16,
    ],
  ]
  for (const [pieces, parts] of shapes) {
    const places = pieces.flatMap(([, to, length]) => {
      const each = Math.floor(length / parts)
      return Array.from(
        { length: parts },
        (_, i) => [to + i * each, i === parts - 1 ? length - i * each : each] as const,
      )
    })
    const units = {
      count: places.length,
      region: new Uint32Array(places.length),
      offset: Float64Array.from(places, ([offset]) => offset),
      length: Uint32Array.from(places, ([, length]) => length),
      seed: BigUint64Array.from(places, (_, unit) => BigInt(unit)),
    }
    const plan = stripe(planOf("read", pieces), rails[1])
    await using move = rig.connection.prepare({ direction: "read", plan, remote: rig.remote, hashes: units })
    for (let post = 0; post < 3; post++) {
      randomBytes(regionBytes).copy(rig.source.view(0, regionBytes))
      const { hashes } = await move.post({ deadline: soon() })
      // A fabric whose bytes no processor of ours touches leaves it to the caller.
      if (hashes === undefined) return
      for (const [unit, [offset, length]] of places.entries())
        assert.equal(hashes[unit], xxh64(rig.target.view(offset, length), BigInt(unit)), `unit ${unit}`)
    }
  }
}

/** A peer that is busy with much lets little wait: also what waits ends with its region. */
async function smallBesideLarge(transport: Transport): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await using rig = await openRig(transport)
    using small = hostMemory.map(64 * 1024, "contract-small")
    await rig.b.register(7, small, both)
    small.view(0, 64 * 1024).fill(poison)
    const large = planOf("read", [[0, 0, regionBytes]])
    const builder = new PlanBuilder(1)
    builder.add(3, 0, 7, 0, 60_000, 0)
    const plan = builder.finish()
    const { remote } = rig
    const moving = ending(rig.connection.move({ direction: "read", plan: large, remote, deadline: soon() }))
    for (let turn = 0; turn < round % 4; turn++) await new Promise(setImmediate)
    const reading = ending(rig.connection.move({ direction: "read", plan, remote, deadline: soon() }))
    await rig.b.deregister(7)
    await assertQuiet(small)
    await reading
    await assertQuiet(small)
    await moving
  }
}
