/**
 * The suite that every transport passes: what a fabric promises, whichever it is.
 *
 * Two endpoints, A (the peer that admits) and B (the caller), each with registered regions. A case that a fabric
 * cannot have is skipped with a written reason, never left out silently.
 */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { setImmediate as turn } from "node:timers/promises"
import { xxh64 } from "@node-rs/xxhash"
import type { HostMapping } from "../memory/host-memory.ts"
import { hostMemory } from "../os/host-memory.ts"
import { stripe } from "../plan/stripe.ts"
import { PlanBuilder } from "../plan/transfer-plan.ts"
import { endsContract } from "./contract-ends.test.kit.ts"
import {
  assertMoved,
  assertRejects,
  both,
  type CaseName,
  caseMillisMax,
  gib,
  mib,
  newSession,
  openRig,
  type Piece,
  planOf,
  poison,
  regionBytes,
  type Skips,
  scattered,
  soon,
  untilRejected,
} from "./contract-rig.test.kit.ts"
import { severalContract } from "./contract-several.test.kit.ts"
import type { Endpoint, RegionDescriptor, Rights, Transport } from "./transport.ts"

const theirRegions: readonly (readonly [region: number, length: number])[] = [
  [21, 192 * 1024],
  [4, 128 * 1024],
  [300, 448 * 1024],
]
const ourRegions: typeof theirRegions = [
  [1, 256 * 1024],
  [17, 320 * 1024],
]
/** Pieces of 1 to 1500 bytes: as many as fit into either side's regions. */
const mixedPieces = 300

/** Registers regions beside the first one; who asks for them closes them. */
async function severalRegions(endpoint: Endpoint, wanted: typeof theirRegions) {
  const regions: { region: number; span: HostMapping; descriptor: RegionDescriptor }[] = []
  for (const [region, length] of wanted) {
    const span = hostMemory.map(length, `contract-${region}`)
    regions.push({ region, span, descriptor: await endpoint.register(region, span, both) })
  }
  return regions
}

/** Registers the contract's tests for one transport. `title`: for one that is made in several ways. */
export function transportContract(transport: Transport, skips: Skips = {}, title = transport.name): void {
  const it = (name: string, body: () => Promise<void>, caseName?: CaseName): void => {
    const skip = caseName === undefined ? undefined : skips[caseName]
    test(`${title}: ${name}`, { timeout: caseMillisMax, ...(skip === undefined ? {} : { skip }) }, body)
  }

  for (const direction of ["read", "write"] as const) {
    it(`a ${direction} moves every byte of its plan and no other`, async () => {
      await using rig = await openRig(transport)
      const pieces: Piece[] = [
        [0, 5, 1],
        [4096, 100, 4097],
        [9 * mib + 3, 2 * mib + 1, 9 * mib + 1],
      ]
      const [from, to] = direction === "read" ? [rig.source, rig.target] : [rig.target, rig.source]
      from.view(0, regionBytes).set(rig.source.view(0, regionBytes))
      to.view(0, regionBytes).fill(poison)
      const plan = planOf(direction, pieces)
      const moved = await rig.connection.move({ direction, plan, remote: rig.remote, deadline: soon() })
      assertMoved(from.view(0, regionBytes), to.view(0, regionBytes), pieces)
      assert.equal(moved.bytes, plan.bytes)
      assert.equal(
        moved.rails.reduce((sum, rail) => sum + rail.bytes, 0),
        plan.bytes,
      )
    })
  }

  it("thousands of small pieces in any order land where they belong", async () => {
    await using rig = await openRig(transport)
    const pieces = scattered(6400, 128)
    const plan = planOf("read", pieces)
    await rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), pieces)
  })

  it("more pieces than sixteen bits can number land where they belong, over one lane", async () => {
    await using rig = await openRig(transport)
    const pieces = scattered(70_000, 96)
    const plan = planOf("read", pieces)
    await rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), pieces)
  })

  for (const direction of ["read", "write"] as const) {
    it(`a ${direction} of one plan between several regions of both sides keeps them apart`, async () => {
      await using rig = await openRig(transport)
      const theirs = await severalRegions(rig.a, theirRegions)
      const ours = await severalRegions(rig.b, ourRegions)
      const reading = direction === "read"
      const [from, to] = reading ? [theirs, ours] : [ours, theirs]
      for (const { span } of from) randomBytes(span.byteLength).copy(span.view(0, span.byteLength))
      for (const { span } of to) span.view(0, span.byteLength).fill(poison)
      const expected = to.map(({ span }) => Buffer.alloc(span.byteLength, poison))
      const builder = new PlanBuilder(mixedPieces)
      const filled = to.map(() => 0)
      for (let i = 0; i < mixedPieces; i++) {
        const [source, target] = [i % from.length, (i * 7 + Math.floor(i / 5)) % to.length]
        const length = 1 + ((i * 379) % 1500)
        const sourceOffset = (i * 7919) % (from[source]!.span.byteLength - length)
        const targetOffset = filled[target]!
        filled[target] = targetOffset + length + (i % 3)
        const { region } = from[source]!
        builder.add(region, sourceOffset, to[target]!.region, targetOffset, length, 0)
        expected[target]!.set(from[source]!.span.view(sourceOffset, length), targetOffset)
      }
      const plan = builder.finish()
      const remote = theirs.map(({ descriptor }) => descriptor)
      await rig.connection.move({ direction, plan, remote, deadline: soon() })
      for (const [i, { region, span }] of to.entries()) {
        const same = Buffer.compare(expected[i]!, span.view(0, span.byteLength)) === 0
        assert.ok(same, `region ${region} has bytes that are not the plan's`)
      }
      for (const { region } of theirs) await rig.a.deregister(region)
      for (const { region } of ours) await rig.b.deregister(region)
      for (const { span } of [...theirs, ...ours]) span[Symbol.dispose]()
    })
  }

  it(
    "several rails carry a striped plan, also when the two sides have unequal numbers",
    async () => {
      await using rig = await openRig(transport, { rails: [2, 3] })
      const pieces: Piece[] = [...scattered(500, 4000), [8 * mib, 12 * mib, 5 * mib + 7]]
      const plan = stripe(planOf("read", pieces), 3)
      const moved = await rig.connection.move({
        direction: "read",
        plan,
        remote: rig.remote,
        deadline: soon(),
      })
      assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), pieces)
      assert.equal(moved.rails.length, 3)
      assert.ok(
        moved.rails.every((rail) => rail.bytes > 0),
        JSON.stringify(moved.rails),
      )
    },
    "unequal rails",
  )

  it("moves that overlap in time each end with their own bytes", async () => {
    await using rig = await openRig(transport)
    const jobs = Array.from({ length: 20 }, (_, i): Piece => [(19 - i) * mib, i * mib, mib - 13])
    await Promise.all(
      jobs.map((piece) =>
        rig.connection.move({
          direction: "read",
          plan: planOf("read", [piece]),
          remote: rig.remote,
          deadline: soon(),
        }),
      ),
    )
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), jobs)
  })

  for (const direction of ["read", "write"] as const) {
    it(`more moves than eight bits can number ${direction} at once, and each ends with its own bytes`, async () => {
      await using rig = await openRig(transport)
      const [count, each, length] = [300, 20, 100]
      const all = scattered(count * each, length)
      const lists = Array.from({ length: count }, (_, i) => all.slice(i * each, (i + 1) * each))
      const [from, to] = direction === "read" ? [rig.source, rig.target] : [rig.target, rig.source]
      from.view(0, regionBytes).set(rig.source.view(0, regionBytes))
      to.view(0, regionBytes).fill(poison)
      const moved = await Promise.all(
        lists.map((pieces) => {
          const plan = planOf(direction, pieces)
          return rig.connection.move({ direction, plan, remote: rig.remote, deadline: soon() })
        }),
      )
      assertMoved(from.view(0, regionBytes), to.view(0, regionBytes), all)
      for (const { bytes } of moved) assert.equal(bytes, each * length)
    })
  }

  it("what is hashed as it lands is hashed unit by unit, in the order that was asked for, at each post", async () => {
    await using rig = await openRig(transport)
    const pieces = scattered(500, 5000)
    const count = 2 * pieces.length
    // Two units of each piece, in an order that has nothing to do with the plan's.
    const units = {
      count,
      region: new Uint32Array(count),
      offset: new Float64Array(count),
      length: new Uint32Array(count).fill(2500),
      seed: new BigUint64Array(count),
    }
    for (let unit = 0; unit < count; unit++) {
      const place = (unit * 7919) % count
      units.offset[unit] = pieces[place >> 1]![1] + (place & 1) * 2500
      units.seed[unit] = BigInt(unit)
    }
    const plan = planOf("read", pieces)
    await using move = rig.connection.prepare({ direction: "read", plan, remote: rig.remote, hashes: units })
    for (let post = 0; post < 2; post++) {
      randomBytes(regionBytes).copy(rig.source.view(0, regionBytes))
      const { hashes } = await move.post({ deadline: soon() })
      // A fabric whose bytes no processor of ours touches leaves it to the caller.
      if (hashes === undefined) return
      for (let unit = 0; unit < count; unit++) {
        const content = rig.target.view(units.offset[unit]!, 2500)
        assert.equal(hashes[unit], xxh64(content, units.seed[unit]!), `unit ${unit}`)
      }
    }
  })

  it(
    "what lies behind 4 GiB of a region is reached there",
    async () => {
      await using rig = await openRig(transport)
      const [length, step] = [4 * gib + mib, 2 * gib]
      using there = hostMemory.map(length, "contract-large-a", { pages: "small" })
      using here = hostMemory.map(length, "contract-large-b", { pages: "small" })
      const remote = [await rig.a.register(5, there, both)]
      await rig.b.register(6, here, both)
      const places = [0, step, 2 * step].map((place) => place + 4097)
      for (const direction of ["read", "write"] as const) {
        const [from, to] = direction === "read" ? [there, here] : [here, there]
        const plan = new PlanBuilder(places.length)
        for (const [i, place] of places.entries()) {
          from.view(place, 5000).fill(i + 1)
          to.view(place, 8192).fill(poison)
          const [source, target] = direction === "read" ? [5, 6] : [6, 5]
          plan.add(source, place, target, places.at(-1 - i)! + 100, 5000, 0)
        }
        await rig.connection.move({ direction, plan: plan.finish(), remote, deadline: soon() })
        for (const [i, place] of places.toReversed().entries()) {
          const found = to.view(place, 8192)
          assert.ok(found.subarray(100, 5100).every((byte) => byte === i + 1))
          assert.equal(found[99], poison)
          assert.equal(found[5100], poison)
        }
      }
      await rig.a.deregister(5)
      await rig.b.deregister(6)
    },
    "large regions",
  )

  it("an empty plan is done at once", async () => {
    await using rig = await openRig(transport)
    const plan = planOf("read", [])
    const moved = await rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    assert.equal(moved.bytes, 0)
  })

  it("a wrong key is refused, moves nothing, and leaves the connection usable", async () => {
    await using rig = await openRig(transport)
    const wrong = rig.remote.map((descriptor) => ({
      ...descriptor,
      rkeys: descriptor.rkeys.map((rkey) => (rkey ^ 0x55) >>> 0),
    }))
    const pieces: Piece[] = [[0, 0, 1000]]
    const plan = planOf("read", pieces)
    const refused = rig.connection.move({ direction: "read", plan, remote: wrong, deadline: soon() })
    await assertRejects(refused, "KV_RKEY_REJECTED")
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [])
    await rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), pieces)
  })

  it("numbers outside a region are errors on either side, never an access", async () => {
    await using rig = await openRig(transport)
    const longer = rig.remote.map((descriptor) => ({ ...descriptor, length: 2 ** 40 }))
    const cases: [Piece, RegionDescriptor[]][] = [
      [[regionBytes - 10, 0, 11], rig.remote],
      [[0, regionBytes - 10, 11], rig.remote],
      [[regionBytes - 10, 0, 11], longer],
      [[2 ** 39, 0, 100], longer],
    ]
    // Alone, and as the last of a list whose others are good.
    const good: Piece[] = [
      [0, 0, 100],
      [5000, 7000, 100],
    ]
    for (const [pieces, remote] of cases.flatMap(([piece, remote]) => [
      [[piece], remote] as const,
      [[...good, piece], remote] as const,
    ])) {
      const plan = planOf("read", pieces)
      const refused = rig.connection.move({ direction: "read", plan, remote, deadline: soon() })
      await assertRejects(refused, "KV_REGION_BOUNDS")
    }
    for (const bad of [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY, 2 ** 60]) {
      const plan = planOf("read", [[0, 0, 8]])
      plan.sourceOffset[0] = bad
      const refused = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
      await assertRejects(refused, "KV_REGION_BOUNDS")
    }
    // The good ones of a list that was refused under way may have come.
    for (const [, offset, length] of good) rig.target.view(offset, length).fill(poison)
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [])
  })

  it("a region that this side never registered is refused", async () => {
    await using rig = await openRig(transport)
    await rig.b.deregister(0)
    const plan = planOf("read", [[0, 0, 8]])
    const refused = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    await assertRejects(refused, "KV_RKEY_REJECTED")
  })

  it("nobody without an admitted session gets in", async () => {
    await using rig = await openRig(transport)
    const strange = newSession()
    const address = rig.a.address
    await assertRejects(
      rig.b.connect(strange, address, { deadline: soon(), peerHost: "127.0.0.1" }),
      "KV_PEER_UNTRUSTED",
    )
    const forged = { id: rig.session.id, key: randomBytes(32) }
    await assertRejects(
      rig.b.connect(forged, address, { deadline: soon(), peerHost: "127.0.0.1" }),
      "KV_PEER_UNTRUSTED",
    )
  })

  it("a session has the rights it was given and no more", async () => {
    await using rig = await openRig(transport, { rights: { read: true, write: false } })
    const write = rig.connection.move({
      direction: "write",
      plan: planOf("write", [[0, 0, 1000]]),
      remote: rig.remote,
      deadline: soon(),
    })
    const before = Buffer.from(rig.source.view(0, 1000))
    await assertRejects(write, "KV_PEER_UNTRUSTED")
    assert.deepEqual(Buffer.from(rig.source.view(0, 1000)), before)
    const plan = planOf("read", [[0, 0, 1000]])
    await rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
  })

  it("a region is open for what it was registered for, whatever the session may do", async () => {
    const uses: readonly (readonly [Rights, string])[] = [
      [{ read: true, write: false }, "contract-readable"],
      [{ read: false, write: true }, "contract-writable"],
      [{ read: false, write: false }, "contract-closed"],
    ]
    const length = 64 * 1024
    for (const [at, [access, name]] of uses.entries()) {
      const region = 10 + at
      using span = hostMemory.map(length, name)
      await using rig = await openRig(transport)
      span.view(0, length).fill(region)
      const remote = [await rig.a.register(region, span, access), ...rig.remote]
      // Alone, and behind a piece of a region that is open for everything.
      for (const [direction, behind] of (["read", "write"] as const).flatMap((direction) =>
        [false, true].map((behind) => [direction, behind] as const),
      )) {
        rig.target.view(0, length).fill(poison)
        span.view(0, length).fill(region)
        const plan = new PlanBuilder(2)
        const [there, here] = direction === "read" ? [3, 0] : [0, 3]
        if (behind) plan.add(there, 5000, here, 5000, 100, 0)
        if (direction === "read") plan.add(region, 100, 0, 100, 1000, 0)
        else plan.add(0, 100, region, 100, 1000, 0)
        const move = rig.connection.move({ direction, plan: plan.finish(), remote, deadline: soon() })
        if (access[direction]) await move
        else await assertRejects(move, "KV_PEER_UNTRUSTED")
        const [target, found] = direction === "read" ? [rig.target, poison] : [span, region]
        const landed = access[direction] ? (direction === "read" ? region : poison) : found
        const bytes = target.view(0, length)
        assert.equal(bytes[99], found)
        assert.ok(
          bytes.subarray(100, 1100).every((byte) => byte === landed),
          `${name}, ${direction}`,
        )
        assert.equal(bytes[1100], found)
      }
    }
  })

  endsContract(transport, it)
  severalContract(transport, it)

  it("a deadline that has passed ends the move with its code", async () => {
    await using rig = await openRig(transport)
    const plan = planOf("read", [[0, 0, regionBytes]])
    const late = rig.connection.move({
      direction: "read",
      plan,
      remote: rig.remote,
      deadline: performance.now() - 1,
    })
    await assertRejects(late, "KV_DEADLINE")
    rig.target.view(0, regionBytes).fill(0x11)
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(
      rig.target.view(0, regionBytes).findIndex((byte) => byte !== 0x11),
      -1,
    )
  })

  it("a move that was cancelled before it began moves nothing", async () => {
    await using rig = await openRig(transport)
    const plan = planOf("read", [[0, 0, 1000]])
    const signal = AbortSignal.abort()
    const read = rig.connection.move({
      direction: "read",
      plan,
      remote: rig.remote,
      deadline: soon(),
      signal,
    })
    await assertRejects(read, "KV_CANCELLED")
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [])
  })

  it(
    "a peer that closes in mid-move ends it",
    async () => {
      const error = await untilRejected(async () => {
        await using rig = await openRig(transport)
        const plan = planOf("read", [[0, 0, regionBytes]])
        const read = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
        await Promise.all([read, rig.a[Symbol.asyncDispose]()])
      })
      assert.equal(error.code, "KV_PEER_LOST")
    },
    "peer closes in mid-move",
  )

  it("progress grows from nothing to all", async () => {
    await using rig = await openRig(transport)
    const plan = planOf("read", [[0, 0, 20 * mib]])
    await using move = rig.connection.prepare({ direction: "read", plan, remote: rig.remote })
    if (move.landed === undefined) return
    for (let post = 0; post < 2; post++) {
      let over = false
      const moving = move.post({ deadline: soon() }).finally(() => {
        over = true
      })
      let last = 0
      for (; !over; await turn()) {
        const landed = move.landed()
        assert.ok(landed >= last && landed <= plan.bytes, `${landed} bytes after ${last}`)
        last = landed
      }
      await moving
      assert.equal(move.landed(), plan.bytes)
    }
  })

  it("a closed endpoint is not reached", async () => {
    const a = await transport.open({ host: "127.0.0.1", rails: 1 })
    const b = await transport.open({ host: "127.0.0.1", rails: 1 })
    const address = a.address
    await a[Symbol.asyncDispose]()
    const refused = b.connect(newSession(), address, { deadline: soon(), peerHost: "127.0.0.1" })
    await assertRejects(refused, "KV_PEER_UNREACHABLE")
    await b[Symbol.asyncDispose]()
  })

  it("reaches() says why a foreign address cannot be used", async () => {
    const a = await transport.open({ host: "127.0.0.1", rails: 1 })
    const reach = a.reaches({ transport: "carrier-pigeon" })
    assert.equal(reach.usable, false)
    assert.match(reach.why, /endpoint/)
    assert.equal(a.reaches(a.address).usable, true)
    await a[Symbol.asyncDispose]()
  })

  it(
    "a busy main thread stalls no transfer",
    async () => {
      await using rig = await openRig(transport)
      const pieces: Piece[] = [[0, 0, 20 * mib]]
      const plan = planOf("read", pieces)
      const moving = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
      const arrived = (): boolean =>
        rig.target.view(20 * mib - 1, 1)[0] === rig.source.view(20 * mib - 1, 1)[0]
      const end = performance.now() + 5000
      // Only reads of memory: no event of ours is handled until the bytes are there.
      while (!arrived() && performance.now() < end);
      assert.ok(arrived(), "the last byte came while the main thread was in a loop")
      await moving
      assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), pieces)
    },
    "busy main thread",
  )
}
