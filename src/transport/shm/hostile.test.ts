/** Callers and lenders that do not keep to the protocol. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { readdirSync } from "node:fs"
import { createServer, type Server, Socket } from "node:net"
import { after, test } from "node:test"
import type { KvErrorCode } from "../../errors/codes.ts"
import { KvError } from "../../errors/kv-error.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { connectLocally, listenLocally, sendFiles } from "../../os/local-sockets.ts"
import { seal } from "../../os/seals.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import { newSession } from "../peer-process.test.kit.ts"
import { sessionProof } from "../session-proof.ts"
import type { Endpoint, RegionDescriptor } from "../transport.ts"
import { encodeFrame, type Frame, type Handed, handed, mayRead } from "./frames.ts"
import { LocalSocket } from "./local-socket.ts"
import { LentPage } from "./session-page.ts"
import { createShm } from "./shm.ts"
import { freshSocketName, ownMachine, toEndpointAddress } from "./shm-address.ts"

const mib = 2 ** 20
const readOnly = { read: true, write: false }
const both = { read: true, write: true }
const soon = (millis = 30_000): number => performance.now() + millis

const crew = await openCrew({ threads: 1 })
after(() => crew[Symbol.asyncDispose]())
const shm = createShm({ crew })

async function assertCode(action: Promise<unknown>, ...codes: KvErrorCode[]): Promise<KvError> {
  let caught: unknown
  await action.catch((error: unknown) => {
    caught = error
  })
  assert.ok(caught instanceof KvError, `nothing of ours was thrown: ${String(caught)}`)
  assert.ok(codes.includes(caught.code), caught.message)
  return caught
}

function call(endpoint: Endpoint): Socket {
  const fd = connectLocally(String(endpoint.address["socket"]))
  assert.ok(fd !== undefined)
  return new Socket({ fd }).on("error", () => {})
}

const hungUp = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.resume()
    socket.once("close", () => resolve())
  })

test("a caller that sends garbage, or a frame out of its place, is cut off, and others are served", async () => {
  await using endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
  const words: Uint8Array[] = [
    randomBytes(1000),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    encodeFrame({ kind: "ready" }),
    encodeFrame({ kind: "want", wants: [{ region: 0, rkey: 0 }] }),
    encodeFrame({ kind: "join", token: randomBytes(32) }),
    encodeFrame({ kind: "hello", session: "00".repeat(16), nonce: randomBytes(16), proof: randomBytes(32) }),
    Buffer.concat([encodeFrame({ kind: "call" }), encodeFrame({ kind: "call" })]),
    Buffer.concat([encodeFrame({ kind: "call" }), encodeFrame({ kind: "join", token: randomBytes(32) })]),
  ]
  for (const bytes of words) {
    const socket = call(endpoint)
    const gone = hungUp(socket)
    socket.write(bytes)
    await gone
  }
  const session = newSession()
  await endpoint.admit(session, readOnly)
  await using connection = await endpoint.connect(session, endpoint.address, {
    deadline: soon(),
    peerHost: "",
  })
  assert.equal(connection.transport, "shm")
})

test("more than 64 callers that prove nothing are cut off, and those before them stay", async () => {
  await using endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
  const silent: Socket[] = []
  for (let i = 0; i < 64; i++) silent.push(call(endpoint))
  const before = silent.map((socket) => socket.closed)
  await hungUp(call(endpoint))
  assert.ok(before.every((closed) => !closed))
  silent[0]!.destroy()
  await new Promise((resolve) => setTimeout(resolve, 20))
  const next = call(endpoint)
  const greeted = new Promise<Buffer>((resolve) => next.once("data", resolve))
  next.write(encodeFrame({ kind: "call" }))
  assert.ok((await greeted).byteLength > 0)
  for (const socket of [...silent, next]) socket.destroy()
})

test("memory that is no memory file is refused with the reason, and the same file may be registered twice", async () => {
  await using endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
  using mapping = hostMemory.map(mib, "twice")
  const foreign = {
    byteLength: 10,
    addressOf: () => 0,
    view: () => new Uint8Array(10),
    share: () => mapping.share(),
  }
  const error = await assertCode(endpoint.register(1, foreign, readOnly), "KV_USAGE")
  assert.match(error.why ?? "", /no memfd/)
  const first = await endpoint.register(2, mapping, readOnly)
  const second = await endpoint.register(3, mapping, readOnly)
  assert.notDeepEqual(first.rkeys, second.rkeys)
  const writable = await assertCode(endpoint.register(4, mapping, both), "KV_USAGE")
  assert.match(writable.why ?? "", /that seal is for ever/)
  mapping.view(0, mib).fill(1)
})

/** What a lender of ours would not do. */
interface Lies {
  readonly proof?: Uint8Array
  readonly page?: () => { readonly fd: number } & Disposable
  /** Answers to a request, and the files that go with them. */
  readonly hand?: (wants: number) => { readonly answers: Handed[]; readonly files: readonly number[] }
  readonly afterwards?: Frame
}

/** A lender that speaks the protocol up to its lie. */
class HostileLender implements AsyncDisposable {
  readonly address = toEndpointAddress({ ...ownMachine(), socket: freshSocketName() })
  readonly session = newSession()
  readonly #server: Server = createServer()
  readonly #pages: Disposable[] = []
  readonly #sockets: LocalSocket[] = []

  constructor(lies: Lies) {
    this.#server.listen({ fd: listenLocally(String(this.address["socket"])) })
    let main: LocalSocket | undefined
    let files: LocalSocket | undefined
    const nonce = randomBytes(16)
    this.#server.on("connection", (accepted) => {
      const socket = LocalSocket.accepted(accepted)
      this.#sockets.push(socket)
      socket.listener = {
        closed: () => {},
        frame: (frame) => {
          if (frame.kind === "call") socket.send({ kind: "greeting", nonce })
          else if (frame.kind === "hello") {
            main = socket
            const { id, key } = this.session
            const proof = lies.proof ?? sessionProof(key, "shm lender 1", id, frame.nonce, nonce)
            socket.send({ kind: "admitted", proof, token: randomBytes(32) })
          } else if (frame.kind === "join") {
            files = socket
            const page = lies.page?.() ?? new LentPage(readOnly)
            this.#pages.push(page)
            sendFiles(socket.fd, 0, [page.fd])
            main!.send({ kind: "ready" })
            if (lies.afterwards !== undefined) main!.send(lies.afterwards)
          } else if (frame.kind === "want") {
            const { answers, files: given } = lies.hand!(frame.wants.length)
            if (given.length > 0) sendFiles(files!.fd, given.length, given)
            socket.send({ kind: "handed", answers })
          }
        },
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.close("the test is over")
    await new Promise((resolve) => this.#server.close(resolve))
    for (const page of this.#pages) page[Symbol.dispose]()
  }
}

const openFiles = (): number => readdirSync("/proc/self/fd").length

/** Connects to a lender that lies, asks for a region, and expects this code. No file may be left open. */
async function expectRefusal(lies: Lies, code: KvErrorCode | KvErrorCode[], why: RegExp): Promise<void> {
  await using endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
  await using lender = new HostileLender(lies)
  const regions: RegionDescriptor[] = [{ region: 5, length: mib, rkeys: [1], iova: 0 }]
  const connecting = endpoint.connect(lender.session, lender.address, {
    deadline: soon(),
    peerHost: "",
    regions,
  })
  const error = await assertCode(connecting, ...[code].flat())
  assert.match(error.message, why)
}

const ok = (length: number, slot = 0): Handed => ({ status: handed.ok, slot, access: mayRead, length })

test("a lender that does not know the session is not believed: whoever takes a socket's name is nobody", async () => {
  await expectRefusal({ proof: randomBytes(32) }, "KV_PEER_UNTRUSTED", /does not know our session/)
})

test("a session page that could be cut, or is none, is not mapped", async () => {
  const unsealed = () => hostMemory.map(32768, "page", { populate: true })
  await expectRefusal({ page: unsealed }, "KV_PEER_REFUSED", /its size is not sealed/)
  const other = () => {
    const mapping = unsealed()
    seal(mapping.fd, { size: true, futureWrites: true })
    return mapping
  }
  await expectRefusal({ page: other }, "KV_WIRE_INVALID", /no session page/)
})

test("a region whose file could be cut, or is shorter than announced, or full of holes, is not mapped", async () => {
  using whole = hostMemory.map(mib, "region", { pages: "small", populate: true })
  const give = (length: number) => ({ hand: () => ({ answers: [ok(length)], files: [whole.fd] }) })
  await expectRefusal(give(mib), "KV_PEER_REFUSED", /its size is not sealed/)
  seal(whole.fd, { size: true, futureWrites: true })
  await expectRefusal(give(2 * mib), "KV_PEER_REFUSED", /it has 1048576 bytes, fewer than the 2097152/)
  using holes = hostMemory.map(2 ** 40, "holes", { pages: "small" })
  seal(holes.fd, { size: true, futureWrites: true })
  const vast = { hand: () => ({ answers: [ok(2 ** 40)], files: [holes.fd] }) }
  await expectRefusal(vast, "KV_PEER_REFUSED", /only 0 of its 1099511627776 bytes are there/)
  await expectRefusal(
    { hand: () => ({ answers: [ok(mib)], files: [0] }) },
    "KV_PEER_REFUSED",
    /no memory file/,
  )
})

test("answers that make no sense end the connection", async () => {
  using whole = hostMemory.map(mib, "region", { pages: "small", populate: true })
  seal(whole.fd, { size: true, futureWrites: true })
  const hand = (answers: Handed[], files: number[]): Lies => ({ hand: () => ({ answers, files }) })
  await expectRefusal(
    hand([ok(Number.NaN)], [whole.fd]),
    "KV_WIRE_INVALID",
    /described region 5 as NaN bytes/,
  )
  await expectRefusal(hand([ok(-1)], [whole.fd]), "KV_WIRE_INVALID", /-1 bytes/)
  await expectRefusal(hand([ok(mib, 2 ** 32 - 1)], [whole.fd]), "KV_WIRE_INVALID", /slot 4294967295/)
  await expectRefusal(hand([ok(mib), ok(mib)], [whole.fd, whole.fd]), "KV_WIRE_INVALID", /answered 2 of 1/)
  await expectRefusal(hand([ok(mib)], []), "KV_WIRE_INVALID", /0 of 1 files/)
  await expectRefusal(hand([{ ...ok(mib), status: 77 }], []), "KV_RKEY_REJECTED", /no longer, its key/)
  const unasked: Frame = { kind: "handed", answers: [ok(mib)] }
  await expectRefusal(
    { ...hand([ok(mib)], []), afterwards: unasked },
    ["KV_PEER_LOST", "KV_WIRE_INVALID"],
    /no place|before it was asked/,
  )
})

test("files that were not asked for are closed, and a lender's lies leave none open here", async () => {
  using whole = hostMemory.map(mib, "region", { pages: "small", populate: true })
  seal(whole.fd, { size: true, futureWrites: true })
  const lies: Lies = {
    hand: () => ({ answers: [ok(mib, 2 ** 30)], files: Array<number>(20).fill(whole.fd) }),
  }
  await expectRefusal(lies, "KV_WIRE_INVALID", /20|files|slot/)
  const before = openFiles()
  for (let i = 0; i < 5; i++) await expectRefusal(lies, "KV_WIRE_INVALID", /files|slot/)
  assert.equal(openFiles(), before)
})

test("a lender that claims a region larger than its plan needs gives no way past the mapping's end", async () => {
  await using endpoint = await shm.open({ host: "127.0.0.1", rails: 1 })
  using source = hostMemory.map(mib, "source")
  using target = hostMemory.map(4 * mib, "target")
  const lent = await endpoint.register(1, source, readOnly)
  await endpoint.register(2, target, both)
  const session = newSession()
  await endpoint.admit(session, readOnly)
  await using connection = await endpoint.connect(session, endpoint.address, {
    deadline: soon(),
    peerHost: "",
  })
  const builder = new PlanBuilder(1)
  builder.add(1, mib - 10, 2, 0, 11, 0)
  const plan = builder.finish()
  const remote = [{ ...lent, length: 2 ** 40 }]
  // The first post maps the region, so the mapping's length is only known then.
  const late = connection.prepare({ direction: "read", plan, remote })
  await assertCode(late.post({ deadline: soon() }), "KV_REGION_BOUNDS")
  await assertCode(connection.move({ direction: "read", plan, remote, deadline: soon() }), "KV_REGION_BOUNDS")
  await assertCode(connection.attach!(remote), "KV_REGION_BOUNDS")
})
