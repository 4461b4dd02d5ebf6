import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { createServer, connect as netConnect, type Server, type Socket } from "node:net"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import {
  direction,
  greetingBytes,
  greetingNonceAt,
  headerBytes,
  helloBytes,
  helloProofAt,
  helloSessionAt,
  nonceBytes,
  pieceBytes,
  type RequestHeader,
  readResponse,
  status,
  writeGreeting,
  writePiece,
  writeRequest,
  writeResponse,
} from "../../wire/stream-frames.ts"
import type {
  Connection,
  Endpoint,
  EndpointOptions,
  RegionDescriptor,
  Rights,
  Session,
  Transport,
} from "../transport.ts"
import { streamProof } from "./stream-proof.ts"
import { tcp } from "./tcp.ts"

export const mib = 2 ** 20
export const regionBytes = 16 * mib

/** A raw end of a stream: what it sends is up to the test. */
export class Raw {
  readonly socket: Socket
  readonly closed: Promise<void>
  #received = Buffer.alloc(0)
  #wake = (): void => {}
  #ended = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on("error", () => {})
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#ended = true
        this.#wake()
        resolve()
      })
    })
  }

  static async dial(port: number): Promise<Raw> {
    const raw = new Raw(netConnect({ port, host: "127.0.0.1", noDelay: true }))
    await new Promise((resolve, reject) => raw.socket.once("connect", resolve).once("error", reject))
    return raw
  }

  /** The next `count` bytes. */
  async take(count: number): Promise<DataView<ArrayBuffer>> {
    while (this.#received.byteLength < count) {
      if (this.#ended)
        throw new Error(`the stream ended after ${this.#received.byteLength} of ${count} bytes`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const taken = new Uint8Array(this.#received.subarray(0, count))
    this.#received = this.#received.subarray(count)
    return new DataView(taken.buffer)
  }

  /** Asserts that the other side ends this stream without another byte. */
  async assertCutOff(): Promise<void> {
    await this.closed
    assert.equal(this.#received.byteLength, 0, "nothing came before the end")
  }
}

export interface Rig extends AsyncDisposable {
  readonly endpoint: Endpoint
  readonly session: Session
  readonly span: HostMapping
  readonly descriptor: RegionDescriptor
  readonly port: number
}

export async function openRig(
  rights: Rights = { read: true, write: true },
  transport: Transport = tcp,
): Promise<Rig> {
  const endpoint = await transport.open({ host: "127.0.0.1", rails: 1 })
  const span = hostMemory.map(regionBytes, "hostile")
  const words = span.view(0, regionBytes)
  for (let i = 0; i < regionBytes; i += 4096) words.fill(i / 4096, i, i + 4096)
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  const descriptor = await endpoint.register(0, span, { read: true, write: true })
  await endpoint.admit(session, rights)
  return {
    endpoint,
    session,
    span,
    descriptor,
    port: (endpoint.address["ports"] as number[])[0]!,
    async [Symbol.asyncDispose]() {
      await endpoint[Symbol.asyncDispose]()
      span[Symbol.dispose]()
    },
  }
}

export function hello(session: Session, nonce: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(helloBytes)
  writeGreeting(new DataView(bytes.buffer))
  bytes.set(Buffer.from(session.id, "hex"), helloSessionAt)
  bytes.set(streamProof(session.key, session.id, nonce), helloProofAt)
  return bytes
}

export async function nonceOf(raw: Raw): Promise<Uint8Array> {
  const greeting = await raw.take(greetingBytes)
  return new Uint8Array(greeting.buffer, greetingNonceAt, nonceBytes)
}

/** A raw stream that has proven the rig's session. */
export async function provenStream(rig: Rig): Promise<Raw> {
  const raw = await Raw.dial(rig.port)
  raw.socket.write(hello(rig.session, await nonceOf(raw)))
  assert.equal(readResponse(await raw.take(headerBytes))?.status, status.ok)
  return raw
}

export type Entry = readonly [rkey: number, length: number, offset: number]

export function request(header: Partial<RequestHeader>, entries: readonly Entry[]): Uint8Array {
  const bytes = new Uint8Array(headerBytes + entries.length * pieceBytes)
  const data = new DataView(bytes.buffer)
  const sum = entries.reduce((total, [, length]) => total + length, 0)
  writeRequest(data, { direction: direction.read, batch: 1, pieces: entries.length, bytes: sum, ...header })
  for (const [index, [rkey, length, offset]] of entries.entries())
    writePiece(data, index, rkey, length, offset)
  return bytes
}

/** Asserts that the stream still answers an honest request with the right bytes. */
export async function assertInStep(raw: Raw, rig: Rig): Promise<void> {
  raw.socket.write(request({ batch: 77 }, [[rig.descriptor.rkeys[0]!, 5000, 4096]]))
  const answer = readResponse(await raw.take(headerBytes))
  assert.deepEqual(answer, { status: status.ok, batch: 77, piece: 0, bytes: 5000 })
  const bytes = Buffer.from((await raw.take(5000)).buffer)
  assert.equal(Buffer.compare(bytes, rig.span.view(4096, 5000)), 0)
}

export interface Honest extends AsyncDisposable {
  readonly endpoint: Endpoint
  readonly connection: Connection
  readonly target: HostMapping
  read(bytes?: number): Promise<void>
}

/** An honest caller of a rig; `read` pulls bytes and compares them. */
export async function openHonest(
  rig: Rig,
  rails = 1,
  options: Partial<EndpointOptions> = {},
  transport: Transport = tcp,
  address = rig.endpoint.address,
): Promise<Honest> {
  const endpoint = await transport.open({ host: "127.0.0.1", rails, ...options })
  const target = hostMemory.map(regionBytes, "honest")
  await endpoint.register(0, target, { read: true, write: true })
  const connection = await endpoint.connect(rig.session, address, {
    deadline: performance.now() + 10_000,
    peerHost: "127.0.0.1",
  })
  return {
    endpoint,
    connection,
    target,
    async read(bytes = mib) {
      target.view(0, bytes).fill(0xee)
      await connection.move({
        direction: "read",
        plan: planOf(bytes),
        remote: [rig.descriptor],
        deadline: performance.now() + 10_000,
      })
      assert.equal(Buffer.compare(target.view(0, bytes), rig.span.view(0, bytes)), 0)
    },
    async [Symbol.asyncDispose]() {
      await endpoint[Symbol.asyncDispose]()
      target[Symbol.dispose]()
    },
  }
}

export function planOf(bytes: number): TransferPlan {
  const builder = new PlanBuilder(1)
  builder.add(0, 0, 0, 0, bytes, 0)
  return builder.finish()
}

export const isKv = (code: string) => (error: unknown) => {
  assert.ok(error instanceof KvError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}

/** Waits until `condition` holds; the runner's own limit ends a wait for what never comes. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** A listener that does what `script` says with each stream. */
export async function hostileListener(
  script: (raw: Raw) => Promise<void>,
): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    const raw = new Raw(socket)
    script(raw).catch(() => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(address !== null && typeof address === "object")
  return { server, port: address.port }
}

/** Greets and accepts whatever proof comes. */
export async function welcome(raw: Raw): Promise<void> {
  const greeting = new Uint8Array(greetingBytes)
  writeGreeting(new DataView(greeting.buffer))
  raw.socket.write(greeting)
  await raw.take(helloBytes)
  raw.socket.write(answer({ status: status.ok, batch: 0, bytes: 0 }))
}

export function answer(response: { status: number; batch: number; bytes: number }): Uint8Array {
  const bytes = new Uint8Array(headerBytes)
  writeResponse(new DataView(bytes.buffer), { piece: 0, ...response })
  return bytes
}

export async function callHostile(
  script: (raw: Raw) => Promise<void>,
  use: (
    connect: (millis?: number) => Promise<Connection>,
    target: HostMapping,
    endpoint: Endpoint,
  ) => Promise<void>,
  bytes = mib,
  options: Partial<EndpointOptions> = {},
): Promise<void> {
  const { server, port } = await hostileListener(script)
  const endpoint = await tcp.open({ host: "127.0.0.1", rails: 1, ...options })
  const target = hostMemory.map(bytes, "victim")
  try {
    await endpoint.register(0, target, { read: true, write: true })
    const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
    const address = { transport: "tcp", host: "127.0.0.1", ports: [port] }
    const connect = (millis = 5000): Promise<Connection> =>
      endpoint.connect(session, address, { deadline: performance.now() + millis, peerHost: "127.0.0.1" })
    await use(connect, target, endpoint)
  } finally {
    await endpoint[Symbol.asyncDispose]()
    target[Symbol.dispose]()
    server.close()
  }
}
