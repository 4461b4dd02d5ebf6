import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { createServer, connect as netConnect, type Socket } from "node:net"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { sessionProof } from "../session-proof.ts"
import type { Endpoint, Session } from "../transport.ts"
import { createNixl } from "./nixl.ts"
import { needsNixl, nixlLibrary } from "./nixl-here.test.kit.ts"
import { readCallerMessage, readListenerMessage } from "./side-messages.ts"

const both = { read: true, write: true }
const length = 64 * 1024

const open = (): Promise<Endpoint> =>
  createNixl({ library: nixlLibrary }).open({ host: "127.0.0.1", rails: 1 })
const newSession = (): Session => ({ id: randomBytes(16).toString("hex"), key: randomBytes(32) })

/** A side channel spoken by hand. */
class Raw {
  readonly socket: Socket
  readonly closed: Promise<void>
  #bytes = Buffer.alloc(0)
  #wake: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()))
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    socket.on("close", () => this.#wake())
  }

  static dial(endpoint: Endpoint): Raw {
    return new Raw(netConnect(Number(endpoint.address["port"]), "127.0.0.1"))
  }

  send(message: object): void {
    const body = Buffer.from(JSON.stringify(message))
    const head = Buffer.alloc(4)
    head.writeUInt32LE(body.byteLength)
    this.socket.write(Buffer.concat([head, body]))
  }

  /** The next message; undefined when the other side hung up instead. */
  async take(): Promise<Record<string, unknown> | undefined> {
    for (;;) {
      const wanted = this.#bytes.byteLength < 4 ? 4 : 4 + this.#bytes.readUInt32LE(0)
      if (this.#bytes.byteLength >= wanted && wanted > 4) {
        const body = this.#bytes.subarray(4, wanted)
        this.#bytes = this.#bytes.subarray(wanted)
        return JSON.parse(body.toString()) as Record<string, unknown>
      }
      if (this.socket.destroyed) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Proves a session, as a caller does. */
  async enter({ id, key }: Session): Promise<void> {
    const greeting = await this.take()
    const nonce = randomBytes(32)
    const proof = sessionProof(
      key,
      "nixl caller 1",
      id,
      Buffer.from(String(greeting!["nonce"]), "hex"),
      nonce,
    )
    this.send({ session: id, nonce: nonce.toString("hex"), proof: Buffer.from(proof).toString("hex") })
  }
}

test(
  "strangers learn a version and a nonce, and are cut off for anything but a proof",
  needsNixl,
  async () => {
    await using endpoint = await open()
    const session = newSession()
    await endpoint.admit(session, both)
    const nonsense = [
      (raw: Raw) => void raw.socket.write(Buffer.alloc(100, 0xff)),
      (raw: Raw) => void raw.socket.write("GET / HTTP/1.1\r\n\r\n"),
      (raw: Raw) => raw.send({ session: session.id }),
      (raw: Raw) => raw.send({ session: session.id, nonce: "00".repeat(32), proof: "00".repeat(32) }),
      (raw: Raw) => raw.send({ pad: "x".repeat(5000) }),
      (raw: Raw) => raw.send([1, 2, 3]),
    ]
    for (const speak of nonsense) {
      const raw = Raw.dial(endpoint)
      assert.deepEqual(Object.keys((await raw.take()) ?? {}).sort(), ["nonce", "version"])
      speak(raw)
      const answer = await raw.take()
      assert.ok(answer === undefined || answer["refused"] === "untrusted", JSON.stringify(answer))
      await raw.closed
    }
    // A proof for another nonce is none here.
    const first = Raw.dial(endpoint)
    const greeting = await first.take()
    const nonce = randomBytes(32)
    const proof = sessionProof(
      session.key,
      "nixl caller 1",
      session.id,
      Buffer.from(String(greeting!["nonce"]), "hex"),
      nonce,
    )
    first.socket.destroy()
    const replay = Raw.dial(endpoint)
    await replay.take()
    replay.send({
      session: session.id,
      nonce: nonce.toString("hex"),
      proof: Buffer.from(proof).toString("hex"),
    })
    assert.deepEqual(await replay.take(), { refused: "untrusted" })
    await replay.closed
  },
)

test(
  "a proven caller gets the places it has keys and rights for, and nonsense ends its connection alone",
  needsNixl,
  async () => {
    await using endpoint = await open()
    using span = hostMemory.map(length, "hostile")
    const { rkeys } = await endpoint.register(3, span, { read: true, write: false })
    const session = newSession()
    await endpoint.admit(session, both)
    const raw = Raw.dial(endpoint)
    await raw.enter(session)
    const welcome = await raw.take()
    assert.deepEqual(Object.keys(welcome ?? {}).sort(), ["agent", "proof"])
    raw.send({
      type: "want",
      regions: [
        [3, (rkeys[0]! + 1) % 2 ** 32],
        [4, rkeys[0]],
      ],
    })
    assert.deepEqual((await raw.take())?.["places"], [])
    raw.send({ type: "begin", move: 1, direction: "write", regions: [[3, rkeys[0]]] })
    const refused = await raw.take()
    assert.equal(refused?.["type"], "refused")
    assert.equal((refused!["error"] as { code: string }).code, "KV_PEER_UNTRUSTED")
    raw.send({ type: "begin", move: 2, direction: "read", regions: [[3, rkeys[0]]] })
    const go = await raw.take()
    assert.equal(go?.["type"], "go")
    assert.equal((go!["places"] as unknown[]).length, 1)
    raw.send({ type: "begin", move: 2, direction: "read", regions: [[3, rkeys[0]]] })
    assert.equal((await raw.take())?.["type"], "refused", "the number of a move that is under way")
    raw.send({ type: "end", move: 77 })
    raw.send({ type: "end", move: 2 })
    assert.deepEqual(await raw.take(), { type: "confirmed", move: 2 })
    const other = Raw.dial(endpoint)
    await other.enter(session)
    await other.take()
    raw.send({ type: "begin", move: -1, direction: "read", regions: [] })
    await raw.closed
    other.send({ type: "want", regions: [] })
    assert.equal((await other.take())?.["type"], "have")
    other.socket.destroy()
  },
)

test("whoever answers for a peer without the session's key is not believed", needsNixl, async (t) => {
  await using endpoint = await open()
  const server = createServer((socket) => {
    const raw = new Raw(socket)
    raw.send({ version: 1, nonce: randomBytes(32).toString("hex") })
    void raw.take().then(() => raw.send({ proof: "00".repeat(32), agent: "somebody" }))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === "object" && address !== null)
  const peer = { transport: "nixl", host: "127.0.0.1", port: address.port, backends: ["UCX"] }
  const options = { deadline: performance.now() + 5000, peerHost: "127.0.0.1" }
  await assert.rejects(endpoint.connect(newSession(), peer, options), { code: "KV_PEER_UNTRUSTED" })
})

test("messages that are none are errors, whatever is wrong with them", () => {
  const bad = [
    undefined,
    null,
    7,
    {},
    { type: "begin" },
    { type: "begin", move: 1, direction: "sideways", regions: [] },
    { type: "begin", move: 1, direction: "read", regions: [[1]] },
    { type: "begin", move: 1, direction: "read", regions: [[1, 2 ** 32]] },
    { type: "want", regions: Array.from({ length: 3000 }, () => [1, 1]) },
    { type: "end", move: 1.5 },
    { type: "go", move: 1, places: [{ region: 1, rkey: 1, address: -1, byteLength: 1, device: 1 }] },
    { type: "have", places: [], connection: 7 },
    { type: "bye", why: "x".repeat(5000) },
  ]
  for (const message of bad) {
    assert.throws(() => readCallerMessage(message), KvError)
    assert.throws(() => readListenerMessage(message), KvError)
  }
})
