/**
 * The part of the contract about ends that nobody wished for: keys and regions that are no longer, sessions that are over,
 * transfers that are stopped. Over one rail, and over unequal numbers of them: an end must reach every rail of a transfer.
 */
import assert from "node:assert/strict"
import type { KvErrorCode } from "../errors/codes.ts"
import { KvError } from "../errors/kv-error.ts"
import { hostMemory } from "../os/host-memory.ts"
import { stripe } from "../plan/stripe.ts"
import { PlanBuilder } from "../plan/transfer-plan.ts"
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
  untilRejected,
} from "./contract-rig.test.kit.ts"
import type { Move, Transport } from "./transport.ts"

type Direction = Move["direction"]
type It = (name: string, body: () => Promise<void>, caseName?: CaseName) => void

const directions = ["read", "write"] as const

/** The memory that a move of this direction writes into. */
const targetOf = (rig: Rig, direction: Direction) => (direction === "read" ? rig.target : rig.source)
const railsOf = (rig: Rig): number[] => Array.from({ length: rig.b.rails }, (_, rail) => rail)

/** A piece of 1,000 bytes for a rail alone, each at a place of its own. */
const pieceOf = (rail: number): Piece => [rail * 2000, rail * 3000, 1000]

export function endsContract(transport: Transport, it: It): void {
  keysContract(transport, it)
  stopsContract(transport, it)
  for (const direction of directions) {
    for (const owner of ["the peer", "this side"] as const)
      it(`a region that ${owner} closes during a ${direction} is left before it is closed`, () =>
        closedUnderWay(transport, direction, owner))
  }
}

/** Cases over one rail, and over three that meet two. */
function overRails(
  it: It,
  name: string,
  body: (rails: readonly [number, number]) => Promise<void>,
  caseName?: CaseName,
): void {
  it(name, () => body([1, 1]), caseName)
  it(`${name}, on each of its rails`, () => body([2, 3]), "unequal rails")
}

function keysContract(transport: Transport, it: It): void {
  for (const direction of directions) {
    const name = `one wrong key among right ones ends a ${direction}, and nothing of it lands after that`
    const body = (rails: readonly [number, number]) => wrongAmongRight(transport, direction, rails)
    // What a write has sent over other rails may still land: nobody calls that back.
    if (direction === "read") overRails(it, name, body)
    else it(name, () => body([1, 1]))

    overRails(it, `a ${direction} that was prepared in time is refused once its region is closed`, (rails) =>
      refusedAfter(transport, direction, rails, ({ a }) => a.deregister(3), "KV_RKEY_REJECTED"),
    )

    it(`the key of a region that was closed and opened again opens it for no ${direction}`, async () => {
      await using rig = await openRig(transport)
      const plan = planOf(direction, [[0, 0, 1000]])
      await using before = rig.connection.prepare({ direction, plan, remote: rig.remote })
      await before.post({ deadline: soon() })
      await rig.a.deregister(3)
      using other = hostMemory.map(regionBytes, "contract-again")
      other.view(0, regionBytes).fill(next)
      const again = [await rig.a.register(3, other, both)]
      const reads = direction === "read"
      rig.target.view(0, 1000).fill(poison)
      const source = Buffer.from(rig.source.view(0, 1000))
      await assertRejects(before.post({ deadline: soon() }), "KV_RKEY_REJECTED")
      const old = rig.connection.move({ direction, plan, remote: rig.remote, deadline: soon() })
      await assertRejects(old, "KV_RKEY_REJECTED")
      assertAll(rig.target.view(0, 1000), poison)
      assertAll(other.view(0, 1000), next)
      assert.equal(Buffer.compare(source, rig.source.view(0, 1000)), 0)
      await rig.connection.move({ direction, plan, remote: again, deadline: soon() })
      const [target, moved] = reads ? [rig.target, next] : [other, poison]
      assertAll(target.view(0, 1000), moved)
      assert.notEqual(target.view(1000, 1)[0], moved)
      await rig.a.deregister(3)
    })

    it(`a ${direction} that was prepared with a region of ours ends with that region, also when its number is used again`, async () => {
      await using rig = await openRig(transport)
      const plan = planOf(direction, [[0, 0, 1000]])
      await using before = rig.connection.prepare({ direction, plan, remote: rig.remote })
      await before.post({ deadline: soon() })
      await rig.b.deregister(0)
      using other = hostMemory.map(regionBytes, "contract-ours")
      await rig.b.register(0, other, both)
      for (const memory of [rig.source, rig.target, other]) memory.view(0, regionBytes).fill(next)
      rig.source.view(0, 1000).fill(1)
      if (direction === "write") for (const memory of [rig.target, other]) memory.view(0, 1000).fill(2)
      await assertRejects(before.post({ deadline: soon() }), "KV_RKEY_REJECTED")
      const left = direction === "read" ? [rig.target, other] : [rig.source]
      const found = direction === "read" ? next : 1
      for (const memory of left) assertAll(memory.view(0, 1000), found)
      await rig.b.deregister(0)
    })
  }

  overRails(it, "the key of a closed region opens nothing", async (rails) => {
    await using rig = await openRig(transport, { rails })
    await rig.a.deregister(3)
    for (const rail of railsOf(rig)) {
      const plan = planOf("read", [pieceOf(rail)], rail)
      const refused = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
      await assertRejects(refused, "KV_RKEY_REJECTED")
    }
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [])
  })
}

/** What was prepared and posted before `end` is refused with `code` after it, and nothing of it lands. */
async function refusedAfter(
  transport: Transport,
  direction: Direction,
  rails: readonly [number, number],
  end: (rig: Rig) => Promise<void>,
  code: KvErrorCode,
): Promise<void> {
  await using rig = await openRig(transport, { rails })
  const prepared = railsOf(rig).map((rail) => {
    const plan = planOf(direction, [pieceOf(rail)], rail)
    return rig.connection.prepare({ direction, plan, remote: rig.remote })
  })
  for (const move of prepared) await move.post({ deadline: soon() })
  await end(rig)
  const target = targetOf(rig, direction)
  target.view(0, regionBytes).fill(next)
  for (const move of prepared) {
    await assertRejects(move.post({ deadline: soon() }), code)
    await move[Symbol.asyncDispose]()
  }
  assertAll(target.view(0, regionBytes), next)
}

async function wrongAmongRight(
  transport: Transport,
  direction: Direction,
  rails: readonly [number, number],
): Promise<void> {
  await using rig = await openRig(transport, { rails })
  using other = hostMemory.map(mib, "contract-wrong")
  const descriptor = await rig.a.register(8, other, both)
  const wrong = { ...descriptor, rkeys: descriptor.rkeys.map((rkey) => (rkey ^ 0x55) >>> 0) }
  // Over several rails so much that the others are at work when one of them refuses.
  const [pieces, at] = rails[1] > 1 ? [scattered(400, 30_000), 20] : [scattered(400, 4096), 200]
  const builder = new PlanBuilder(pieces.length)
  for (const [i, [there, here, length]] of pieces.entries()) {
    const [region, offset] = i === at ? [8, 0] : [3, there]
    const rail = i % rails[1]
    if (direction === "read") builder.add(region, offset, 0, here, length, rail)
    else builder.add(0, here, region, offset, length, rail)
  }
  const plan = builder.finish()
  const remote = [...rig.remote, wrong]
  const refused = rig.connection.move({ direction, plan, remote, deadline: soon() })
  await assertRejects(refused, "KV_RKEY_REJECTED")
  await assertQuiet(targetOf(rig, direction))
  const right = [...rig.remote, descriptor]
  const moved = await rig.connection.move({ direction, plan, remote: right, deadline: soon() })
  assert.equal(moved.bytes, plan.bytes)
  await rig.a.deregister(8)
}

function stopsContract(transport: Transport, it: It): void {
  for (const direction of directions) {
    overRails(it, `a ${direction} that was prepared in time is refused once its session has ended`, (rails) =>
      refusedAfter(transport, direction, rails, ({ a, session }) => a.dismiss(session.id), "KV_PEER_LOST"),
    )
  }

  it("a dismissed session moves nothing more", async () => {
    await using rig = await openRig(transport)
    await rig.a.dismiss(rig.session.id)
    const plan = planOf("read", [[0, 0, 1000]])
    const refused = rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon() })
    await assertRejects(refused, "KV_PEER_LOST")
    assert.ok((await rig.connection.lost) instanceof Error)
  })

  it("the end of one session is not that of another", async () => {
    await using rig = await openRig(transport)
    const other = { ...rig.session, id: rig.session.id.split("").reverse().join("") }
    await rig.a.admit(other, both)
    const how = { deadline: soon(), peerHost: "127.0.0.1", regions: rig.remote }
    const connection = await rig.b.connect(other, JSON.parse(JSON.stringify(rig.a.address)), how)
    const plan = planOf("read", [[0, 0, 1000]])
    const move = { direction: "read", plan, remote: rig.remote } as const
    await connection.move({ ...move, deadline: soon() })
    await rig.a.dismiss(other.id)
    rig.target.view(0, regionBytes).fill(poison)
    await assertRejects(connection.move({ ...move, deadline: soon() }), "KV_PEER_LOST")
    await rig.connection.move({ ...move, deadline: soon() })
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [[0, 0, 1000]])
    await connection[Symbol.asyncDispose]()
  })

  overRails(
    it,
    "a cancelled read has stopped when it rejects: the target may be used again at once",
    async (rails) => {
      await using rig = await openRig(transport, { rails })
      const plan = stripe(planOf("read", [[0, 0, regionBytes]]), rails[1])
      const error = await untilRejected(() => {
        const abort = new AbortController()
        setImmediate(() => abort.abort())
        const { signal } = abort
        return rig.connection.move({ direction: "read", plan, remote: rig.remote, deadline: soon(), signal })
      })
      assert.equal(error.code, "KV_CANCELLED")
      await assertQuiet(rig.target)
      rig.target.view(0, regionBytes).fill(poison)
      const again = stripe(planOf("read", [[5, 6, 3 * mib]]), rails[1])
      await rig.connection.move({ direction: "read", plan: again, remote: rig.remote, deadline: soon() })
      assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), [[5, 6, 3 * mib]])
    },
    "cancel in mid-move",
  )

  it("a prepared move that is under way is posted by nobody else", async () => {
    await using rig = await openRig(transport)
    const pieces: Piece[] = [[0, 0, 20 * mib]]
    const request = { direction: "read", plan: planOf("read", pieces), remote: rig.remote } as const
    await using move = rig.connection.prepare(request)
    const first = move.post({ deadline: soon() })
    await assertRejects(move.post({ deadline: soon() }), "KV_USAGE")
    await first
    assertMoved(rig.source.view(0, regionBytes), rig.target.view(0, regionBytes), pieces)
    await move.post({ deadline: soon() })
  })
}

/**
 * Its owner uses the memory for something else as soon as `deregister` has answered: a source that was closed is not sent from any
 * more, a target that was closed is not written to, and a read that is called done has brought what was there before.
 */
async function closedUnderWay(
  transport: Transport,
  direction: Direction,
  owner: "the peer" | "this side",
): Promise<void> {
  for (const turns of [0, 3]) {
    await using rig = await openRig(transport)
    const reads = direction === "read"
    const [from, to] = reads ? [rig.source, rig.target] : [rig.target, rig.source]
    from.view(0, regionBytes).fill(1)
    to.view(0, regionBytes).fill(poison)
    const plan = planOf(direction, [[0, 0, regionBytes]])
    const moving = rig.connection.move({ direction, plan, remote: rig.remote, deadline: soon() }).then(
      () => true,
      (thrown: unknown) => {
        assert.ok(thrown instanceof KvError, String(thrown))
        return false
      },
    )
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
    const theirs = owner === "the peer"
    if (theirs) await rig.a.deregister(3)
    else await rig.b.deregister(0)
    const closed = theirs ? rig.source : rig.target
    if (closed === to) {
      await assertQuiet(to)
      await moving
      await assertQuiet(to)
      continue
    }
    from.view(0, regionBytes).fill(next)
    const done = await moving
    const found = to.view(0, regionBytes)
    // A read that failed may have seen anything: nobody uses it. What leaves this side is a secret of the memory's next user.
    if (done) assertAll(found, 1)
    else if (!reads) assert.equal(found.indexOf(next), -1)
  }
}
