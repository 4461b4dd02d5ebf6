import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { FakeClock } from "../../agent/in-memory.test.kit.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import { transportContract } from "../contract.ts"
import { loopback } from "../loopback/loopback.ts"
import { tcp } from "../tcp/tcp.ts"
import type { Connection, Endpoint, Move, RegionDescriptor, Transport } from "../transport.ts"
import { scripted, type TransportFault } from "./fault-plan.ts"
import { type FaultRecord, withFaults } from "./with-faults.ts"

const nothing = scripted([])
transportContract(withFaults(tcp, nothing))
transportContract(withFaults(withFaults(loopback, nothing), nothing), {
  "busy main thread": "loopback copies on the calling thread",
})

const bytes = 4096
const poison = 0xa5
const rights = { read: true, write: true }

/** Far behind every clock: loopback looks at the machine's, the faults at one that stands still. */
const never = 1e12

interface Rig extends AsyncDisposable {
  readonly clock: FakeClock
  readonly records: FaultRecord[]
  readonly connection: Connection
  readonly source: HostMapping
  readonly target: HostMapping
  readonly remote: RegionDescriptor[]
  /** Three pieces, 3000 bytes in all, from the peer's region into ours, or the other way. */
  move(direction: Move["direction"], more?: Partial<Move>): Promise<unknown>
}

async function openRig(...script: (TransportFault | undefined)[]): Promise<Rig> {
  const clock = new FakeClock()
  // Ahead of the machine's, by which loopback ends what is late, however long this file has run.
  clock.advance(1e9)
  const records: FaultRecord[] = []
  const faulty: Transport = withFaults(loopback, scripted(script), {
    clock,
    onFault: (record) => records.push(record),
  })
  const open = (transport: Transport): Promise<Endpoint> => transport.open({ host: "127.0.0.1", rails: 1 })
  const [peer, ours] = [await open(loopback), await open(faulty)]
  const [source, target] = [hostMemory.map(bytes, "fault-a"), hostMemory.map(bytes, "fault-b")]
  // No byte of it is the poison that says "nothing came here".
  source.view(0, bytes).set(randomBytes(bytes).map((byte) => (byte === poison ? 0 : byte)))
  target.view(0, bytes).fill(poison)
  const remote = [await peer.register(3, source, rights)]
  await ours.register(0, target, rights)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  await peer.admit(session, rights)
  const connection = await ours.connect(session, peer.address, { deadline: never, peerHost: "127.0.0.1" })
  return {
    clock,
    records,
    connection,
    source,
    target,
    remote,
    move(direction, more = {}) {
      const builder = new PlanBuilder(3)
      const [from, to] = direction === "read" ? [3, 0] : [0, 3]
      for (const at of [0, 1200, 2400]) builder.add(from, at, to, at, 1000, 0)
      return connection.move({ direction, plan: builder.finish(), remote, deadline: never, ...more })
    },
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await ours[Symbol.asyncDispose]()
      await peer[Symbol.asyncDispose]()
      source[Symbol.dispose]()
      target[Symbol.dispose]()
    },
  }
}

const moved = (offset: number): boolean => offset % 1200 < 1000 && offset < 3400

/** Offsets at which the target is not what a right move makes of it. */
function wrongBytes({ source, target }: Rig): number[] {
  const [from, to] = [source.view(0, bytes), target.view(0, bytes)]
  return [...to.keys()].filter((i) => to[i] !== (moved(i) ? from[i] : poison))
}

/** Runs what is due in other turns of the event loop, as often as loopback needs it. */
async function turns(): Promise<void> {
  for (let i = 0; i < 200; i++) await new Promise(setImmediate)
}

/** True when a promise is settled after some turns of the event loop. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false
  promise.then(
    () => {
      done = true
    },
    () => {
      done = true
    },
  )
  await turns()
  return done
}

async function assertRejects(action: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(action, (error) => error instanceof KvError && error.code === code)
}

test("delay: nothing moves before its time, and everything after it", async () => {
  await using rig = await openRig({ kind: "delay", millis: 50 })
  const moving = rig.move("read")
  rig.clock.advance(49)
  assert.equal(await settled(moving), false)
  assert.equal(rig.target.view(0, 1)[0], poison)
  rig.clock.advance(1)
  await moving
  assert.deepEqual(wrongBytes(rig), [])
})

test("delay: a cancel, a deadline and the end of the connection are still heard", async () => {
  const delay = { kind: "delay", millis: 1000 } as const
  await using rig = await openRig(delay, delay, delay)
  const abort = new AbortController()
  const cancelled = rig.move("read", { signal: abort.signal })
  abort.abort()
  await assertRejects(cancelled, "KV_CANCELLED")
  const late = rig.move("read", { deadline: rig.clock.now() + 10 })
  rig.clock.advance(10)
  await assertRejects(late, "KV_DEADLINE")
  const cut = rig.move("read")
  await rig.connection[Symbol.asyncDispose]()
  await assertRejects(cut, "KV_PEER_LOST")
  assert.equal(rig.clock.waiting, 0)
  assert.equal(rig.target.view(0, 1)[0], poison)
})

for (const direction of ["read", "write"] as const) {
  test(`reorder: the pieces of a ${direction} come in another order, and all of them`, async () => {
    await using rig = await openRig({ kind: "reorder" })
    if (direction === "write") rig.target.view(0, bytes).set(rig.source.view(0, bytes))
    if (direction === "write") rig.source.view(0, bytes).fill(poison)
    await rig.move(direction)
    const [from, to] = direction === "read" ? [rig.source, rig.target] : [rig.target, rig.source]
    for (let i = 0; i < bytes; i++) {
      assert.equal(to.view(i, 1)[0], moved(i) ? from.view(i, 1)[0] : poison, `byte ${i}`)
    }
  })
}

test("drop: a piece is missing, and the move does not end before its deadline", async () => {
  await using rig = await openRig({ kind: "drop", piece: 1 })
  const moving = rig.move("read", { deadline: rig.clock.now() + 1e6 })
  assert.equal(await settled(moving), false)
  assert.deepEqual(wrongBytes(rig).slice(0, 1), [1200])
  assert.equal(wrongBytes(rig).at(-1), 2199)
  rig.clock.advance(1e6)
  await assertRejects(moving, "KV_DEADLINE")
})

test("drop: a cancel ends it", async () => {
  await using rig = await openRig({ kind: "drop", piece: 0 })
  const abort = new AbortController()
  const moving = rig.move("read", { signal: abort.signal })
  assert.equal(await settled(moving), false)
  abort.abort()
  await assertRejects(moving, "KV_CANCELLED")
})

test("duplicate: after the end, memory that has a new owner is written once more", async () => {
  await using rig = await openRig({ kind: "duplicate", afterMillis: 30 })
  await rig.move("read")
  assert.deepEqual(wrongBytes(rig), [])
  const before = Buffer.from(rig.target.view(0, 1000))
  rig.target.view(0, bytes).fill(0x11)
  rig.clock.advance(29)
  assert.ok(rig.target.view(0, bytes).every((byte) => byte === 0x11))
  rig.source.view(0, bytes).fill(0x22)
  rig.clock.advance(1)
  assert.deepEqual(Buffer.from(rig.target.view(0, 1000)), before)
  assert.equal(rig.target.view(1000, 1)[0], 0x11)
})

test("duplicate: a write comes twice", async () => {
  await using rig = await openRig({ kind: "duplicate", afterMillis: 30 })
  await rig.move("write")
  rig.source.view(0, bytes).fill(0x11)
  rig.clock.advance(30)
  await turns()
  assert.equal(rig.source.view(0, 1)[0], poison)
  assert.equal(rig.source.view(1000, 1)[0], 0x11)
})

test("corrupt: one bit of what a read brought is wrong, and the move says nothing of it", async () => {
  await using rig = await openRig({ kind: "corrupt", byte: 1005, bit: 6 })
  await rig.move("read")
  // Byte 1005 of the plan is the sixth of its second piece.
  assert.deepEqual(wrongBytes(rig), [1205])
  assert.equal(rig.target.view(1205, 1)[0]! ^ rig.source.view(1205, 1)[0]!, 64)
})

test("corrupt: a write arrives with a wrong bit, and its source is as before", async () => {
  await using rig = await openRig({ kind: "corrupt", byte: 0, bit: 0 })
  await rig.move("write")
  assert.equal(rig.source.view(0, 1)[0], poison ^ 1)
  assert.equal(rig.source.view(1, 1)[0], poison)
  assert.ok(rig.target.view(0, bytes).every((byte) => byte === poison))
})

test("early: the completion comes, and the bytes after it", async () => {
  await using rig = await openRig({ kind: "early", landsAfterMillis: 20 })
  const end = await rig.move("read")
  assert.deepEqual(end, { bytes: 3000, pieces: 3, retries: 0, rails: [{ rail: 0, bytes: 3000 }] })
  assert.ok(rig.target.view(0, bytes).every((byte) => byte === poison))
  rig.clock.advance(20)
  await turns()
  assert.deepEqual(wrongBytes(rig), [])
})

test("early: a completion that passed some of its bytes, as it would be if relaxed ordering covered completions too", async () => {
  await using rig = await openRig({ kind: "early", landsAfterMillis: 20, landedBytes: 2990 })
  await rig.move("read")
  assert.deepEqual(wrongBytes(rig), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  rig.clock.advance(20)
  await turns()
  assert.deepEqual(wrongBytes(rig), [])
})

test("early: what has not landed when the connection is closed never lands", async () => {
  await using rig = await openRig({ kind: "early", landsAfterMillis: 20 })
  await rig.move("read")
  await rig.connection[Symbol.asyncDispose]()
  rig.clock.advance(1000)
  await turns()
  assert.ok(rig.target.view(0, bytes).every((byte) => byte === poison))
})

test("die: the connection is lost at its byte, for this move and every later one", async () => {
  await using rig = await openRig({ kind: "die", atByte: 1500 })
  await assertRejects(rig.move("read"), "KV_PEER_LOST")
  assert.match((await rig.connection.lost).message, /after 1500 of 3000 bytes/)
  assert.deepEqual(
    [rig.target.view(1699, 1)[0], rig.target.view(1700, 1)[0]],
    [rig.source.view(1699, 1)[0], poison],
  )
  await assertRejects(rig.move("read"), "KV_PEER_LOST")
})

test("each fault is told with the post that it befell, and posts without one are counted", async () => {
  await using rig = await openRig(undefined, { kind: "reorder" })
  await rig.move("read")
  await rig.move("read")
  const { at, ...record } = rig.records[0]!
  assert.equal(rig.records.length, 1)
  assert.equal(at, rig.clock.now())
  assert.deepEqual(record, {
    number: 1,
    direction: "read",
    pieces: 3,
    bytes: 3000,
    fault: { kind: "reorder" },
  })
})

test("a move with a fault is not hashed by the fabric: its caller reads what is there", async () => {
  const hashing: Transport = {
    ...loopback,
    open: async (options) => hashingEndpoint(await loopback.open(options)),
  }
  const hashingEndpoint = (inner: Endpoint): Endpoint =>
    Object.assign(Object.create(inner) as Endpoint, {
      register: inner.register.bind(inner),
      admit: inner.admit.bind(inner),
      connect: async (...how: Parameters<Endpoint["connect"]>): Promise<Connection> => {
        const connection = await inner.connect(...how)
        const prepare: Connection["prepare"] = (request) => {
          const prepared = connection.prepare(request)
          return {
            post: async (options) => ({ ...(await prepared.post(options)), hashes: new BigUint64Array(1) }),
            [Symbol.asyncDispose]: () => prepared[Symbol.asyncDispose](),
          }
        }
        return Object.assign(Object.create(connection) as Connection, { prepare, lost: connection.lost })
      },
    })
  const faulty = withFaults(hashing, scripted([undefined, { kind: "corrupt", byte: 0, bit: 0 }]))
  const [a, b] = [await loopback.open({ host: "", rails: 1 }), await faulty.open({ host: "", rails: 1 })]
  using source = hostMemory.map(64, "fault-a")
  using target = hostMemory.map(64, "fault-b")
  const remote = [await a.register(3, source, rights)]
  await b.register(0, target, rights)
  const session = { id: "0".repeat(32), key: randomBytes(32) }
  await a.admit(session, rights)
  const connection = await b.connect(session, a.address, { deadline: never, peerHost: "" })
  const builder = new PlanBuilder(1)
  builder.add(3, 0, 0, 0, 64, 0)
  const move: Move = { direction: "read", plan: builder.finish(), remote, deadline: never }
  assert.equal((await connection.move(move)).hashes?.length, 1)
  assert.equal((await connection.move(move)).hashes, undefined)
})
