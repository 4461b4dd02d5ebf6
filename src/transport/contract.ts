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
import type { KvErrorCode } from "../errors/codes.ts"
import { KvError } from "../errors/kv-error.ts"
import type { HostMapping } from "../memory/host-memory.ts"
import { hostMemory } from "../os/host-memory.ts"
import { stripe } from "../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../plan/transfer-plan.ts"
import type { Connection, Endpoint, Move, RegionDescriptor, Rights, Session, Transport } from "./transport.ts"

const mib = 2 ** 20
const regionBytes = 24 * mib
const poison = 0xa5
/** A case that hangs fails under its own name, before its file is ended. */
const caseMillisMax = 60_000

type CaseName = "busy main thread" | "cancel in mid-move" | "peer closes in mid-move" | "unequal rails"

/** Cases that a fabric cannot have, each with its reason. */
export type Skips = Partial<Record<CaseName, string>>

interface Rig extends AsyncDisposable {
  readonly a: Endpoint
  readonly b: Endpoint
  readonly connection: Connection
  readonly session: Session
  readonly source: HostMapping
  readonly target: HostMapping
  readonly remote: RegionDescriptor[]
}

const both: Rights = { read: true, write: true }
const soon = (millis = 20_000): number => performance.now() + millis

function newSession(): Session {
  return { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
}

async function openRig(
  transport: Transport,
  options: { rails?: readonly [number, number]; rights?: Rights } = {},
): Promise<Rig> {
  const [railsA, railsB] = options.rails ?? [1, 1]
  const a = await transport.open({ host: "127.0.0.1", rails: railsA })
  const b = await transport.open({ host: "127.0.0.1", rails: railsB })
  const source = hostMemory.map(regionBytes, "contract-a")
  const target = hostMemory.map(regionBytes, "contract-b")
  // Every 4-byte word of A says where it is.
  const words = new Uint32Array(
    source.view(0, regionBytes).buffer,
    source.view(0, 4).byteOffset,
    regionBytes / 4,
  )
  for (let i = 0; i < words.length; i++) words[i] = i * 2654435761
  target.view(0, regionBytes).fill(poison)
  const remote = [await a.register(3, source, both)]
  await b.register(0, target, both)
  const session = newSession()
  await a.admit(session, options.rights ?? both)
  const connection = await b.connect(session, JSON.parse(JSON.stringify(a.address)), {
    deadline: soon(),
    peerHost: "127.0.0.1",
    regions: remote,
  })
  return {
    a,
    b,
    connection,
    session,
    source,
    target,
    remote,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
      await a[Symbol.asyncDispose]()
      source[Symbol.dispose]()
      target[Symbol.dispose]()
    },
  }
}

type Piece = readonly [sourceOffset: number, targetOffset: number, length: number]

/** A plan from A's region 3 into B's region 0 for a read; the other way round for a write. */
function planOf(direction: Move["direction"], pieces: readonly Piece[]): TransferPlan {
  const builder = new PlanBuilder(pieces.length)
  const [from, to] = direction === "read" ? [3, 0] : [0, 3]
  for (const [source, target, length] of pieces) builder.add(from, source, to, target, length, 0)
  return builder.finish()
}

/** Asserts that `target` holds exactly what the pieces say, and poison everywhere else. */
function assertMoved(source: Uint8Array, target: Uint8Array, pieces: readonly Piece[]): void {
  const expected = Buffer.alloc(target.byteLength, poison)
  for (const [from, to, length] of pieces) expected.set(source.subarray(from, from + length), to)
  if (Buffer.compare(expected, target) === 0) return
  const at = expected.findIndex((byte, i) => byte !== target[i])
  assert.fail(`byte ${at} is ${target[at]}, expected ${expected[at]}`)
}

async function assertRejects(action: Promise<unknown>, code: KvErrorCode): Promise<void> {
  await assert.rejects(action, (error: unknown) => {
    assert.ok(error instanceof KvError, String(error))
    assert.equal(error.code, code, error.message)
    return true
  })
}

/** Repeats an operation that races with its own end until the end wins; on a fast day it may have finished first. */
async function untilRejected(attempt: () => Promise<unknown>): Promise<KvError> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await attempt()
    } catch (thrown) {
      assert.ok(thrown instanceof KvError, String(thrown))
      return thrown
    }
  }
  return assert.fail("100 attempts all finished before they could be stopped")
}

/** Small pieces in a shuffled order, none adjacent to the one before it. */
function scattered(count: number, length: number): Piece[] {
  return Array.from({ length: count }, (_, i) => {
    const from = ((i * 7919) % count) * length * 2
    const to = ((i * 104729) % count) * length * 2 + length
    return [from, to, length] as const
  })
}

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

  for (const direction of ["read", "write"] as const) {
    it(`one wrong key among right ones ends a ${direction}, and nothing of it lands after that`, async () => {
      await using rig = await openRig(transport)
      using other = hostMemory.map(mib, "contract-wrong")
      const descriptor = await rig.a.register(8, other, both)
      const wrong = { ...descriptor, rkeys: descriptor.rkeys.map((rkey) => (rkey ^ 0x55) >>> 0) }
      const pieces = scattered(400, 4096)
      const builder = new PlanBuilder(pieces.length)
      for (const [i, [there, here, length]] of pieces.entries()) {
        const [region, offset] = i === 200 ? [8, 0] : [3, there]
        if (direction === "read") builder.add(region, offset, 0, here, length, 0)
        else builder.add(0, here, region, offset, length, 0)
      }
      const plan = builder.finish()
      const target = direction === "read" ? rig.target : rig.source
      const remote = [...rig.remote, wrong]
      const refused = rig.connection.move({ direction, plan, remote, deadline: soon() })
      await assertRejects(refused, "KV_RKEY_REJECTED")
      target.view(0, regionBytes).fill(0x11)
      await new Promise((resolve) => setTimeout(resolve, 50))
      const late = target.view(0, regionBytes).findIndex((byte) => byte !== 0x11)
      assert.equal(late, -1)
      const right = [...rig.remote, descriptor]
      const moved = await rig.connection.move({ direction, plan, remote: right, deadline: soon() })
      assert.equal(moved.bytes, plan.bytes)
      await rig.a.deregister(8)
    })
  }

  it("the key of a closed region opens nothing", async () => {
    await using rig = await openRig(transport)
    await rig.a.deregister(3)
    const plan = planOf("read", [[0, 0, 1000]])
    const refused = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    await assertRejects(refused, "KV_RKEY_REJECTED")
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [])
  })

  for (const direction of ["read", "write"] as const) {
    it(`a ${direction} that was prepared in time is refused once its region is closed`, async () => {
      await using rig = await openRig(transport)
      const plan = planOf(direction, [[0, 0, 1000]])
      await using prepared = rig.connection.prepare({ direction, plan, remote: rig.remote })
      await prepared.post({ deadline: soon() })
      await rig.a.deregister(3)
      const target = direction === "read" ? rig.target : rig.source
      target.view(0, 1000).fill(0x11)
      await assertRejects(prepared.post({ deadline: soon() }), "KV_RKEY_REJECTED")
      assert.ok(target.view(0, 1000).every((byte) => byte === 0x11))
    })

    it(`a ${direction} that was prepared in time is refused once its session has ended`, async () => {
      await using rig = await openRig(transport)
      const plan = planOf(direction, [[0, 0, 1000]])
      await using prepared = rig.connection.prepare({ direction, plan, remote: rig.remote })
      await prepared.post({ deadline: soon() })
      await rig.a.dismiss(rig.session.id)
      const target = direction === "read" ? rig.target : rig.source
      target.view(0, 1000).fill(0x11)
      await assertRejects(prepared.post({ deadline: soon() }), "KV_PEER_LOST")
      assert.ok(target.view(0, 1000).every((byte) => byte === 0x11))
    })
  }

  it("numbers outside a region are errors on either side, never an access", async () => {
    await using rig = await openRig(transport)
    const longer = rig.remote.map((descriptor) => ({ ...descriptor, length: 2 ** 40 }))
    const cases: [Piece, RegionDescriptor[]][] = [
      [[regionBytes - 10, 0, 11], rig.remote],
      [[0, regionBytes - 10, 11], rig.remote],
      [[regionBytes - 10, 0, 11], longer],
      [[2 ** 39, 0, 100], longer],
    ]
    for (const [piece, remote] of cases) {
      const plan = planOf("read", [piece])
      const refused = rig.connection.move({ direction: "read", plan, remote, deadline: soon() })
      await assertRejects(refused, "KV_REGION_BOUNDS")
    }
    for (const bad of [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY, 2 ** 60]) {
      const plan = planOf("read", [[0, 0, 8]])
      plan.sourceOffset[0] = bad
      const refused = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
      await assertRejects(refused, "KV_REGION_BOUNDS")
    }
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
      const remote = [await rig.a.register(region, span, access)]
      for (const direction of ["read", "write"] as const) {
        rig.target.view(0, length).fill(poison)
        const plan = new PlanBuilder(1)
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

  it("a dismissed session moves nothing more", async () => {
    await using rig = await openRig(transport)
    await rig.a.dismiss(rig.session.id)
    const plan = planOf("read", [[0, 0, 1000]])
    const refused = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    await assertRejects(refused, "KV_PEER_LOST")
    assert.ok((await rig.connection.lost) instanceof Error)
  })

  it(
    "a cancelled read has stopped when it rejects: the target may be used again at once",
    async () => {
      await using rig = await openRig(transport)
      const plan = planOf("read", [[0, 0, regionBytes]])
      const error = await untilRejected(() => {
        const abort = new AbortController()
        setImmediate(() => abort.abort())
        const { signal } = abort
        return rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon(), signal })
      })
      assert.equal(error.code, "KV_CANCELLED")
      rig.target.view(0, regionBytes).fill(0x11)
      await new Promise((resolve) => setTimeout(resolve, 50))
      assert.equal(
        rig.target.view(0, regionBytes).findIndex((byte) => byte !== 0x11),
        -1,
      )
      rig.target.view(0, regionBytes).fill(poison)
      const again = planOf("read", [[5, 6, 3 * mib]])
      await rig.connection.move({ direction: "read", plan: again, remote: rig.remote, deadline: soon() })
      assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [[5, 6, 3 * mib]])
    },
    "cancel in mid-move",
  )

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
