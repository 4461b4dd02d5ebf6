/** Peers that are killed or stopped in mid-move, as real processes: an error in bounded time, and nobody else harmed. */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes, randomFillSync } from "node:crypto"
import { once } from "node:events"
import { connect, createServer, type Server } from "node:net"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { hostMemory } from "../../os/host-memory.ts"
import type { Connection, EndpointAddress, RegionDescriptor, Session } from "../transport.ts"
import { isKv, mib, openRig, planOf, regionBytes } from "./raw-stream.test.kit.ts"
import { createTcp, type Encryption, tcp } from "./tcp.ts"

const soon = (millis = 20_000): number => performance.now() + millis
const both = { read: true, write: true }

/** What every child begins with. It ends when its standard input does. */
const prelude = `
  process.stdin.on("end", () => process.exit(0)).resume()
  const ours = (path) => import(${JSON.stringify(new URL("../../", import.meta.url).href)} + path)
  const { createTcp } = await ours("transport/tcp/tcp.js")
  const { hostMemory } = await ours("os/host-memory.js")
  const { PlanBuilder } = await ours("plan/transfer-plan.js")
  const say = (value) => console.log(JSON.stringify(value))
  const both = { read: true, write: true }
  const endpoint = await createTcp({ encryption: process.argv.at(-1) }).open({ host: "127.0.0.1", rails: 2 })
  const span = hostMemory.map(${regionBytes}, "peer")
  const region = await endpoint.register(0, span, both)
`

class Child implements AsyncDisposable {
  readonly process: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(script: string, encryption: Encryption = "none") {
    const options = ["--input-type=module", "--eval", prelude + script, "--", encryption]
    this.process = spawn(process.execPath, options, { stdio: ["pipe", "pipe", "inherit"] })
    this.#lines = createInterface(this.process.stdout!)[Symbol.asyncIterator]()
  }

  async hear<T>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    assert.ok(done !== true, "the child ended")
    return JSON.parse(value) as T
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    this.process.kill("SIGKILL")
    await once(this.process, "exit")
  }
}

interface Source {
  readonly address: EndpointAddress
  readonly region: RegionDescriptor
}

function sourceChild(session: Session, encryption?: Encryption): Child {
  const script = `
    span.view(0, ${regionBytes}).fill(0x5a)
    const key = Uint8Array.from(${JSON.stringify([...session.key])})
    await endpoint.admit({ id: ${JSON.stringify(session.id)}, key }, both)
    say({ address: endpoint.address, region })
  `
  return new Child(script, encryption)
}

const newSession = (): Session => ({ id: randomBytes(16).toString("hex"), key: randomBytes(32) })

/** Moves again and again, so that whatever happens to the peer happens in the middle of one. */
async function untilItFails(
  connection: Connection,
  region: RegionDescriptor,
  direction: "read" | "write",
  millis: number,
): Promise<unknown> {
  const plan = planOf(regionBytes)
  for (;;) {
    try {
      await connection.move({ direction, plan, remote: [region], deadline: soon(millis) })
    } catch (thrown) {
      return thrown
    }
  }
}

/** Two peers in processes of their own, and one connection to each. */
async function twoSources(
  encryption: Encryption,
  use: (doomed: Peer, other: Peer) => Promise<void>,
): Promise<void> {
  const endpoint = await createTcp({ encryption }).open({ host: "127.0.0.1", rails: 2 })
  const target = hostMemory.map(regionBytes, "target")
  await endpoint.register(0, target, both)
  const sessions = [newSession(), newSession()] as const
  await using first = sourceChild(sessions[0], encryption)
  await using second = sourceChild(sessions[1], encryption)
  const reach = async (child: Child, session: Session): Promise<Peer> => {
    const source = await child.hear<Source>()
    const options = { deadline: soon(), peerHost: "127.0.0.1" }
    const connection = await endpoint.connect(session, source.address, options)
    const read = async (bytes: number): Promise<void> => {
      target.view(0, bytes).fill(0)
      const move = { direction: "read", plan: planOf(bytes), remote: [source.region] } as const
      await connection.move({ ...move, deadline: soon() })
      assert.equal(
        target.view(0, bytes).findIndex((byte) => byte !== 0x5a),
        -1,
      )
    }
    return { child, connection, region: source.region, read, target }
  }
  try {
    await use(await reach(first, sessions[0]), await reach(second, sessions[1]))
  } finally {
    await endpoint[Symbol.asyncDispose]()
    target[Symbol.dispose]()
  }
}

interface Peer {
  readonly child: Child
  readonly connection: Connection
  readonly region: RegionDescriptor
  readonly target: { view(offset: number, length: number): Uint8Array }
  read(bytes: number): Promise<void>
}

for (const encryption of ["none", "tls"] as const) {
  const name = encryption === "none" ? "tcp" : "tcp (tls)"
  for (const direction of ["read", "write"] as const) {
    test(`${name}: kill -9 of the peer in the middle of a ${direction} is KV_PEER_LOST, and the other peer is not disturbed`, async () => {
      await twoSources(encryption, async (doomed, other) => {
        const failing = untilItFails(doomed.connection, doomed.region, direction, 20_000)
        await new Promise((resolve) => setTimeout(resolve, 20))
        doomed.child.process.kill("SIGKILL")
        isKv("KV_PEER_LOST")(await failing)
        await doomed.connection.lost
        for (const bytes of [4096, mib]) {
          await assert.rejects(doomed.read(bytes), isKv("KV_PEER_LOST"))
          await other.read(bytes)
        }
      })
    })
  }

  test(`${name}: a peer that is stopped in the middle of a read is a deadline; when it goes on, so does the connection`, async () => {
    await twoSources(encryption, async (stopped, other) => {
      const failing = untilItFails(stopped.connection, stopped.region, "read", 300)
      await new Promise((resolve) => setTimeout(resolve, 20))
      stopped.child.process.kill("SIGSTOP")
      isKv("KV_DEADLINE")(await failing)
      const move = { direction: "read", plan: planOf(4096), remote: [stopped.region] } as const
      await assert.rejects(stopped.connection.move({ ...move, deadline: soon(50) }), isKv("KV_DEADLINE"))
      await other.read(mib)
      stopped.target.view(0, regionBytes).fill(0x11)
      stopped.child.process.kill("SIGCONT")
      // The late bytes of what has failed pass before the next answer does, and land nowhere.
      const last = planOf(1)
      await stopped.connection.move({ ...move, plan: last, deadline: soon() })
      assert.equal(
        stopped.target.view(1, regionBytes - 1).findIndex((byte) => byte !== 0x11),
        -1,
      )
      await stopped.read(4096)
      await stopped.read(regionBytes)
    })
  })

  test(`${name}: a peer that is stopped in the middle of a write is a deadline that ends its connection, and nobody else's`, async () => {
    await twoSources(encryption, async (stopped, other) => {
      const failing = untilItFails(stopped.connection, stopped.region, "write", 300)
      await new Promise((resolve) => setTimeout(resolve, 20))
      stopped.child.process.kill("SIGSTOP")
      isKv("KV_DEADLINE")(await failing)
      await stopped.connection.lost
      await other.read(mib)
    })
  })
}

for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
  test(`${signal} of a caller in mid-move leaves the side that is read unharmed`, async () => {
    await using rig = await openRig()
    randomFillSync(rig.span.view(0, regionBytes))
    const other = await tcp.open({ host: "127.0.0.1", rails: 1 })
    const session = newSession()
    await rig.endpoint.admit(session, both)
    await using caller = new Child(`
      const key = Uint8Array.from(${JSON.stringify([...session.key])})
      const session = { id: ${JSON.stringify(session.id)}, key }
      const options = { deadline: performance.now() + 20000, peerHost: "127.0.0.1" }
      const address = ${JSON.stringify(rig.endpoint.address)}
      const connection = await endpoint.connect(session, address, options)
      const builder = new PlanBuilder(1)
      builder.add(0, 0, 0, 0, ${regionBytes}, 0)
      const move = { direction: "read", plan: builder.finish(), remote: [${JSON.stringify(rig.descriptor)}] }
      say("reads")
      for (;;) await connection.move({ ...move, deadline: performance.now() + 20000 })
    `)
    await caller.hear()
    await new Promise((resolve) => setTimeout(resolve, 20))
    caller.process.kill(signal)
    const target = hostMemory.map(regionBytes, "other")
    await other.register(0, target, both)
    const options = { deadline: soon(), peerHost: "127.0.0.1" }
    const connection = await other.connect(rig.session, rig.endpoint.address, options)
    for (const bytes of [4096, regionBytes]) {
      const move = { direction: "read", plan: planOf(bytes), remote: [rig.descriptor] } as const
      await connection.move({ ...move, deadline: soon() })
      assert.equal(Buffer.compare(target.view(0, bytes), rig.span.view(0, bytes)), 0)
    }
    // Its session is over when this has resolved, whether it hears of it or not; and so is its region.
    await rig.endpoint.dismiss(session.id)
    await rig.endpoint.deregister(0)
    await other[Symbol.asyncDispose]()
    target[Symbol.dispose]()
  })
}

/** A fixed address that leads to whichever process is behind it. */
async function door(): Promise<{ server: Server; port: number; leadTo(port: number): void }> {
  let behind = 0
  const server = createServer((socket) => {
    const onward = connect(behind, "127.0.0.1")
    for (const end of [socket, onward]) end.on("error", () => {})
    socket.pipe(onward)
    onward.pipe(socket)
    socket.on("close", () => onward.destroy())
    onward.on("close", () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(address !== null && typeof address === "object")
  return {
    server,
    port: address.port,
    leadTo: (port) => {
      behind = port
    },
  }
}

test("a peer that was started again at the same address knows neither the old session nor the old keys", async () => {
  const entrance = await door()
  const endpoint = await tcp.open({ host: "127.0.0.1", rails: 1 })
  const target = hostMemory.map(mib, "target")
  await endpoint.register(0, target, both)
  const address = { transport: "tcp", host: "127.0.0.1", ports: [entrance.port] }
  const reach = (session: Session): Promise<Connection> =>
    endpoint.connect(session, address, { deadline: soon(), peerHost: "127.0.0.1" })
  try {
    const [before, after] = [newSession(), newSession()]
    await using first = sourceChild(before)
    const old = await first.hear<Source>()
    entrance.leadTo((old.address["ports"] as number[])[0]!)
    const connection = await reach(before)
    const move = (region: RegionDescriptor, bytes: number) =>
      ({ direction: "read", plan: planOf(bytes), remote: [region], deadline: soon() }) as const
    await connection.move(move(old.region, mib))
    first.process.kill("SIGKILL")
    await connection.lost
    await using second = sourceChild(after)
    const fresh = await second.hear<Source>()
    entrance.leadTo((fresh.address["ports"] as number[])[0]!)
    await assert.rejects(reach(before), isKv("KV_PEER_UNTRUSTED"))
    const again = await reach(after)
    for (const bytes of [4096, mib]) {
      target.view(0, mib).fill(0x11)
      await assert.rejects(again.move(move(old.region, bytes)), isKv("KV_RKEY_REJECTED"))
      assert.equal(
        target.view(0, mib).findIndex((byte) => byte !== 0x11),
        -1,
      )
      await again.move(move(fresh.region, bytes))
    }
  } finally {
    await endpoint[Symbol.asyncDispose]()
    target[Symbol.dispose]()
    entrance.server.close()
  }
})
