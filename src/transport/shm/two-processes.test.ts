/** What shm promises between two real processes: the owner is the other one, or this one. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs"
import { after, test } from "node:test"
import { xxh64 } from "@node-rs/xxhash"
import type { KvErrorCode } from "../../errors/codes.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { mapForeign } from "../../os/foreign-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import { textOf, wordAt } from "../peer-orders.test.kit.ts"
import { newSession } from "../peer-process.test.kit.ts"
import type { Connection, Endpoint, RegionDescriptor } from "../transport.ts"
import { createShm } from "./shm.ts"
import { type ShmPeer, startShmPeer } from "./shm-process.test.kit.ts"

const mib = 2 ** 20
const readOnly = { read: true, write: false }
const both = { read: true, write: true }
const soon = (millis = 20_000): number => performance.now() + millis

const crew = await openCrew({ threads: 1 })
after(() => crew[Symbol.asyncDispose]())
const shm = createShm({ crew })

async function assertCode(action: Promise<unknown>, code: KvErrorCode): Promise<KvError> {
  let caught: unknown
  await action.catch((error: unknown) => {
    caught = error
  })
  assert.ok(caught instanceof KvError, `nothing of ours was thrown: ${String(caught)}`)
  assert.equal(caught.code, code, caught.message)
  return caught
}

/** This process as a borrower, with one region of its own, and the other one as the lender of region 3. */
class Rig implements AsyncDisposable {
  readonly session = newSession()
  readonly lender: ShmPeer
  readonly endpoint: Endpoint
  readonly target: HostMapping
  readonly remote: RegionDescriptor
  connection!: Connection

  private constructor(lender: ShmPeer, endpoint: Endpoint, target: HostMapping, remote: RegionDescriptor) {
    this.lender = lender
    this.endpoint = endpoint
    this.target = target
    this.remote = remote
  }

  static async open(
    byteLength: number,
    options: { access?: typeof both; rights?: typeof both; named?: boolean } = {},
  ): Promise<Rig> {
    const { access = readOnly, rights = readOnly, named = true } = options
    const lender = await startShmPeer()
    const remote = await lender.tell("register", { region: 3, byteLength, access, seed: 1 })
    const endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
    const target = hostMemory.map(byteLength, "target")
    await endpoint.register(0, target, both)
    const rig = new Rig(lender, endpoint, target, remote)
    await lender.admit(rig.session, rights)
    rig.connection = await rig.connect(named ? [remote] : [])
    return rig
  }

  connect(regions: RegionDescriptor[]): Promise<Connection> {
    return this.endpoint.connect(this.session, this.lender.address, {
      deadline: soon(),
      peerHost: "127.0.0.1",
      regions,
    })
  }

  plan(direction: "read" | "write", offset: number, length: number): TransferPlan {
    const builder = new PlanBuilder(1)
    const [from, to] = direction === "read" ? [3, 0] : [0, 3]
    builder.add(from, offset, to, offset, length, 0)
    return builder.finish()
  }

  async read(offset = 0, length = this.target.byteLength): Promise<number> {
    const move = {
      direction: "read",
      plan: this.plan("read", offset, length),
      remote: [this.remote],
    } as const
    return (await this.connection.move({ ...move, deadline: soon() })).bytes
  }

  words(): Uint32Array {
    const bytes = this.target.view(0, this.target.byteLength)
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
  }

  /** The first word that is not what region 3 was registered with, or -1. */
  firstWrongWord(): number {
    return this.words().findIndex((word, i) => word !== wordAt(1, i))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endpoint[Symbol.asyncDispose]()
    this.target[Symbol.dispose]()
    await this.lender[Symbol.asyncDispose]()
  }
}

for (const named of [true, false]) {
  const when = named ? "mapped when the connection was made" : "mapped by the first transfer"
  test(`a region of another process is read whole, ${when}`, async () => {
    await using rig = await Rig.open(8 * mib, { named })
    assert.equal(await rig.read(), 8 * mib)
    assert.equal(rig.firstWrongWord(), -1)
  })
}

test("a prepared read brings what the owner wrote since the last post", async () => {
  await using rig = await Rig.open(mib)
  const request = { direction: "read", plan: rig.plan("read", 100, 4096), remote: [rig.remote] } as const
  await using prepared = rig.connection.prepare(request)
  for (const value of [1, 2, 3]) {
    await rig.lender.tell("fill", { region: 3, value })
    await prepared.post({ deadline: soon() })
    assert.ok(rig.target.view(100, 4096).every((byte) => byte === value))
  }
})

test("what lands is hashed on the way, unit by unit, in the order that was asked for", async () => {
  await using rig = await Rig.open(4 * mib)
  const places = [3, 0, 2, 1].map((place) => place * mib)
  const hashes = {
    count: 4,
    region: new Uint32Array(4),
    offset: Float64Array.from(places),
    length: new Uint32Array(4).fill(mib),
    seed: BigUint64Array.from([5n, 6n, 7n, 8n]),
  }
  const plan = rig.plan("read", 0, 4 * mib)
  const move = { direction: "read", plan, remote: [rig.remote], hashes, deadline: soon() } as const
  const moved = await rig.connection.move(move)
  assert.equal(rig.firstWrongWord(), -1)
  const expected = places.map((place, i) => xxh64(rig.target.view(place, mib), hashes.seed[i]))
  assert.deepEqual([...moved.hashes!], expected)
  assert.equal(
    moved.rails.reduce((sum, { bytes }) => sum + bytes, 0),
    4 * mib,
  )
})

test("a write grant lets bytes in, a read grant does not", async () => {
  await using rig = await Rig.open(mib, { access: both, rights: both })
  rig.target.view(0, mib).fill(0x77)
  const write = { direction: "write", plan: rig.plan("write", 4096, 5000), remote: [rig.remote] } as const
  await rig.connection.move({ ...write, deadline: soon() })
  const byte = (offset: number): Promise<number> => rig.lender.tell("byte", { region: 3, offset })
  assert.deepEqual([await byte(4096), await byte(9095)], [0x77, 0x77])
  assert.notEqual(await byte(9096), 0x77)
  await using other = await Rig.open(mib, { access: readOnly, rights: both })
  await assertCode(
    other.connection.move({ ...write, remote: [other.remote], deadline: soon() }),
    "KV_PEER_UNTRUSTED",
  )
  await other.read(0, 100)
})

test("a region that is granted for reading cannot be written by another process, on any way through its file", async () => {
  await using rig = await Rig.open(mib)
  const path = `/proc/${rig.lender.pid}/fd/${await rig.lender.tell("file", { region: 3 })}`
  const file = openSync(path, "r+")
  try {
    assert.throws(() => mapForeign(file, mib, { access: "write", name: "a test" }), /mmap answered EPERM/)
    assert.throws(() => writeSync(file, "x", 0), { code: "EPERM" })
    assert.throws(() => ftruncateSync(file, 0), { code: "EPERM" })
    mapForeign(file, mib, { access: "read", name: "a test" })[Symbol.dispose]()
  } finally {
    closeSync(file)
  }
  await rig.lender.tell("fill", { region: 3, value: 9 })
  await rig.read()
  assert.ok(rig.target.view(0, mib).every((byte) => byte === 9))
})

test("a session that may only read gets no way to write, also where others may", async () => {
  await using rig = await Rig.open(mib, { access: both, rights: readOnly })
  const write = { direction: "write", plan: rig.plan("write", 0, 10), remote: [rig.remote] } as const
  await assertCode(rig.connection.move({ ...write, deadline: soon() }), "KV_PEER_UNTRUSTED")
  assert.deepEqual(protections(), ["r--s"])
})

/** How the regions of the other process are mapped here. */
function protections(): string[] {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n")
  return lines.filter((line) => line.includes("memfd:kvferry-child-")).map((line) => line.split(" ")[1]!)
}

test("attached regions are the owner's own pages, and end with the connection", async () => {
  await using rig = await Rig.open(mib, { access: both, rights: both })
  const span = (await rig.connection.attach!([rig.remote])).get(3)!
  assert.equal(span.byteLength, mib)
  await rig.lender.tell("fill", { region: 3, value: 5 })
  assert.ok(span.view(0, mib).every((byte) => byte === 5))
  // Also with a write grant: the span is of the mapping that cannot be written.
  const start = span.addressOf(0, 1).toString(16)
  const line = readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .find((text) => text.startsWith(start))
  assert.match(line ?? "", /r--s/)
  await rig.connection[Symbol.asyncDispose]()
  assert.throws(() => span.addressOf(0, 1), /the span is closed/)
})

test("a region that its owner closes is unmapped here before the owner goes on", async () => {
  await using rig = await Rig.open(mib)
  await rig.read()
  const request = { direction: "read", plan: rig.plan("read", 0, 10), remote: [rig.remote] } as const
  const prepared = rig.connection.prepare(request)
  assert.deepEqual(protections(), ["r--s"])
  await rig.lender.tell("deregister", { region: 3 })
  assert.deepEqual(protections(), [])
  await assertCode(prepared.post({ deadline: soon() }), "KV_RKEY_REJECTED")
  await assertCode(rig.read(), "KV_RKEY_REJECTED")
  const again = await rig.lender.tell("register", { region: 4, byteLength: mib, access: readOnly, seed: 1 })
  const builder = new PlanBuilder(1)
  builder.add(4, 0, 0, 0, mib, 0)
  const plan = builder.finish()
  await rig.connection.move({ direction: "read", plan, remote: [again], deadline: soon() })
  assert.equal(rig.firstWrongWord(), -1)
})

test("an owner that is killed in mid-move: the move ends, right or lost, and later ones are lost", async () => {
  await using rig = await Rig.open(256 * mib)
  const span = (await rig.connection.attach!([rig.remote])).get(3)!
  const reading = rig.read().then(
    () => undefined,
    (error: unknown) => error,
  )
  await rig.lender.kill()
  const error = await reading
  if (error === undefined) assert.equal(rig.firstWrongWord(), -1)
  else assert.equal((error as KvError).code, "KV_PEER_LOST")
  const why = await rig.connection.lost
  assert.match(why.message, new RegExp(`process ${rig.lender.pid} of user`))
  await assertCode(rig.read(0, 100), "KV_PEER_LOST")
  // What was attached does not vanish under its reader.
  assert.equal(
    new DataView(span.view(4, 4).buffer, span.view(4, 4).byteOffset).getUint32(0, true),
    wordAt(1, 1),
  )
})

test("an owner that is stopped takes no part in a read", async () => {
  await using rig = await Rig.open(8 * mib)
  rig.lender.signal("SIGSTOP")
  try {
    assert.equal(await rig.read(), 8 * mib)
    assert.equal(rig.firstWrongWord(), -1)
  } finally {
    rig.lender.signal("SIGCONT")
  }
})

test("a region that a stopped owner would have to hand over first ends at the deadline", async () => {
  await using rig = await Rig.open(mib, { named: false })
  rig.lender.signal("SIGSTOP")
  try {
    const move = { direction: "read", plan: rig.plan("read", 0, 10), remote: [rig.remote] } as const
    await assertCode(rig.connection.move({ ...move, deadline: soon(100) }), "KV_DEADLINE")
    await assertCode(
      rig.endpoint.connect(newSession(), rig.lender.address, { deadline: soon(100), peerHost: "" }),
      "KV_DEADLINE",
    )
  } finally {
    rig.lender.signal("SIGCONT")
  }
})

test("a dismissed session ends in the other process: it unmaps, hangs up, and is lost", async () => {
  await using rig = await Rig.open(mib)
  await rig.lender.tell("dismiss", { id: rig.session.id })
  assert.deepEqual(protections(), [])
  assert.match((await rig.connection.lost).message, /it ended the session/)
  await assertCode(rig.read(), "KV_PEER_LOST")
  await assertCode(rig.connect([]), "KV_PEER_UNTRUSTED")
})

test("a forged session opens nothing", async () => {
  await using rig = await Rig.open(mib)
  const options = { deadline: soon(), peerHost: "127.0.0.1" }
  for (const session of [newSession(), { id: rig.session.id, key: randomBytes(32) }]) {
    await assertCode(rig.endpoint.connect(session, rig.lender.address, options), "KV_PEER_UNTRUSTED")
  }
  await rig.read()
})

test("a process that was started again at the same address knows no session of the one before", async () => {
  await using rig = await Rig.open(mib)
  await rig.lender.kill()
  await rig.connection.lost
  await assertCode(rig.connect([]), "KV_PEER_UNREACHABLE")
  await using next = await startShmPeer({ socket: String(rig.lender.address["socket"]) })
  assert.deepEqual(next.address, rig.lender.address)
  await assertCode(rig.connect([rig.remote]), "KV_PEER_UNTRUSTED")
  // And the key of a region from the life before opens nothing in the next one.
  await next.tell("register", { region: 3, byteLength: mib, access: readOnly, seed: 1 })
  await next.admit(rig.session, readOnly)
  await assertCode(rig.connect([rig.remote]), "KV_RKEY_REJECTED")
})

test("a thousand and twenty-four regions are handed over, mapped and read", async () => {
  await using lender = await startShmPeer()
  const count = 1024
  const regions: RegionDescriptor[] = []
  for (let region = 0; region < count; region++) {
    regions.push(await lender.tell("register", { region, byteLength: 4096, access: readOnly, seed: region }))
  }
  const session = newSession()
  await lender.admit(session, readOnly)
  await using endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
  using target = hostMemory.map(count * 4096, "target")
  await endpoint.register(0, target, both)
  const options = { deadline: soon(), peerHost: "127.0.0.1", regions }
  const connection = await endpoint.connect(session, lender.address, options)
  const builder = new PlanBuilder(count)
  for (let region = 0; region < count; region++) builder.add(region, 0, 0, region * 4096, 4096, 0)
  await connection.move({ direction: "read", plan: builder.finish(), remote: regions, deadline: soon() })
  const bytes = target.view(0, target.byteLength)
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, count * 1024)
  assert.equal(
    words.findIndex((word, i) => word !== wordAt(Math.floor(i / 1024), i % 1024)),
    -1,
  )
  await endpoint[Symbol.asyncDispose]()
})

/** This process as the lender of region 7, and the other one as the borrower. */
async function lendTo(
  rights: typeof both,
  regions = 1,
): Promise<{
  endpoint: Endpoint
  mapping: HostMapping
  session: ReturnType<typeof newSession>
  lent: RegionDescriptor[]
}> {
  const endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
  const mapping = hostMemory.map(mib, "lent")
  mapping.view(0, mib).fill(0x42)
  const lent: RegionDescriptor[] = []
  for (let i = 0; i < regions; i++) lent.push(await endpoint.register(7 + i, mapping, rights))
  const session = newSession()
  await endpoint.admit(session, rights)
  return { endpoint, mapping, session, lent }
}

const connectOrder = (rig: Awaited<ReturnType<typeof lendTo>>) => ({
  session: textOf(rig.session),
  address: rig.endpoint.address,
  regions: rig.lent,
  millis: 10_000,
})

test("a reader that is stopped holds nobody up: a region is taken back in bounded time, and its reading does not count", async () => {
  await using borrower = await startShmPeer()
  await borrower.tell("register", { region: 0, byteLength: mib, access: both, seed: 2 })
  const rig = await lendTo(readOnly)
  await borrower.tell("connect", connectOrder(rig))
  const move = { direction: "read", own: 0, remote: rig.lent[0]!, millis: 10_000 } as const
  assert.equal(await borrower.tell("move", move), mib)
  assert.equal(await borrower.tell("byte", { region: 0, offset: 99 }), 0x42)
  borrower.signal("SIGSTOP")
  await rig.endpoint.deregister(7)
  borrower.signal("SIGCONT")
  await assertCode(borrower.tell("move", move), "KV_RKEY_REJECTED")
  await rig.endpoint[Symbol.asyncDispose]()
  rig.mapping[Symbol.dispose]()
})

test("a stopped process that may write is told of: its memory is not safe to use again", async () => {
  await using borrower = await startShmPeer()
  const rig = await lendTo(both)
  await borrower.tell("connect", connectOrder(rig))
  borrower.signal("SIGSTOP")
  const error = await assertCode(rig.endpoint.deregister(7), "KV_PEER_LOST")
  assert.match(error.what, new RegExp(`process ${borrower.pid} of user .+ may still write to region 7`))
  borrower.signal("SIGCONT")
  assert.match(await borrower.tell("lost", {}), /is gone/)
  await rig.endpoint[Symbol.asyncDispose]()
  rig.mapping[Symbol.dispose]()
})

test("a borrower that is killed leaves nothing behind at its lender", async () => {
  await using endpointCheck = await startShmPeer()
  await endpointCheck.tell("register", { region: 3, byteLength: mib, access: readOnly, seed: 1 })
  const session = newSession()
  await endpointCheck.admit(session, readOnly)
  const remote = await endpointCheck.tell("register", {
    region: 4,
    byteLength: mib,
    access: readOnly,
    seed: 1,
  })
  const before = await endpointCheck.tell("files", {})
  {
    await using borrower = await startShmPeer()
    await borrower.tell("connect", {
      session: textOf(session),
      address: endpointCheck.address,
      regions: [remote],
      millis: 10_000,
    })
    assert.ok((await endpointCheck.tell("files", {})) > before)
  }
  let left = await endpointCheck.tell("files", {})
  for (let tries = 0; left > before && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    left = await endpointCheck.tell("files", {})
  }
  assert.equal(left, before)
})

test("a borrower without file descriptors is told so, and can go on when it asks for less", async () => {
  await using borrower = await startShmPeer({ filesMax: 52 })
  const rig = await lendTo(readOnly, 64)
  await assertCode(borrower.tell("connect", connectOrder(rig)), "KV_OS")
  await borrower.tell("connect", { ...connectOrder(rig), regions: rig.lent.slice(0, 1) })
  await rig.endpoint[Symbol.asyncDispose]()
  rig.mapping[Symbol.dispose]()
})
