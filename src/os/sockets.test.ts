import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { connect as netConnect, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { interest, Poller } from "./poller.ts"
import { ipv6Bytes, Sockets } from "./sockets.ts"

/** The 16 bytes as the URL parser of this runtime sees them: it knows every way to write an address. */
function bytesByUrl(text: string): number[] {
  const shown = new URL(`http://[${text}]/`).hostname.slice(1, -1)
  const [head = "", tail] = shown.split("::")
  const words = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16))
  const [front, back] = [words(head), words(tail ?? "")]
  const all =
    tail === undefined ? front : [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back]
  return all.flatMap((word) => [word >> 8, word & 0xff])
}

test("ipv6Bytes() reads every way to write an address as the URL parser does", () => {
  const addresses = fc.oneof(
    fc.ipV6(),
    fc
      .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
      .map((words) => words.map((word) => word.toString(16)).join(":")),
    fc.ipV4().map((tail) => `::ffff:${tail}`),
    fc
      .tuple(fc.nat({ max: 0xffff }), fc.ipV4())
      .map(([word, tail]) => `64:ff9b:${word.toString(16)}::${tail}`),
  )
  fc.assert(fc.property(addresses, (text) => assert.deepEqual(ipv6Bytes(text), bytesByUrl(text), text)))
})

test("ipv6Bytes() knows the addresses that have a meaning, and drops a zone", () => {
  const zeros = Array<number>(16).fill(0)
  assert.deepEqual(ipv6Bytes("::"), zeros)
  assert.deepEqual(ipv6Bytes("::1"), [...zeros.slice(1), 1])
  assert.deepEqual(ipv6Bytes("::ffff:127.0.0.1"), [...zeros.slice(6), 0xff, 0xff, 127, 0, 0, 1])
  assert.deepEqual(ipv6Bytes("fe80::1%eth0"), [0xfe, 0x80, ...zeros.slice(3), 1])
  assert.deepEqual(ipv6Bytes("1:2::"), [0, 1, 0, 2, ...zeros.slice(4)])
})

interface Rig extends Disposable {
  readonly sockets: Sockets
  readonly poller: Poller
}

function openRig(): Rig {
  const memory = new ControlMemory(8192)
  const sockets = new Sockets(memory)
  return { sockets, poller: new Poller(memory, 4), [Symbol.dispose]: () => memory[Symbol.dispose]() }
}

const openDescriptors = (): number => readdirSync("/proc/self/fd").length

function assertCode(action: () => unknown, code: string): void {
  assert.throws(action, (error) => error instanceof KvError && error.code === code)
}

test("a port that is in use is an error of its own, and the socket made for it is closed", () => {
  using rig = openRig()
  const { fd, port } = rig.sockets.listen("127.0.0.1", 0)
  assert.ok(port > 0)
  const before = openDescriptors()
  assertCode(() => rig.sockets.listen("127.0.0.1", port), "KV_PORT_IN_USE")
  assert.equal(openDescriptors(), before)
  rig.sockets.close(fd)
})

test("a host that is no numeric address is refused, and costs no descriptor", () => {
  using rig = openRig()
  const before = openDescriptors()
  assertCode(() => rig.sockets.listen("localhost", 0), "KV_USAGE")
  assertCode(() => rig.sockets.connect("no such host", 80), "KV_USAGE")
  assertCode(() => rig.sockets.connect("127.0.0.1.example.org", 80), "KV_USAGE")
  assert.equal(openDescriptors(), before)
})

/** Connects to `host`, waits until that has ended, and returns the errno. */
function connectError({ sockets, poller }: Rig, host: string, port: number): number {
  const fd = sockets.connect(host, port)
  poller.clear()
  const place = poller.watch(fd, interest.write)
  poller.wait(5000)
  assert.notEqual(poller.ready(place), 0, "the connect ended")
  const code = sockets.connectError(fd)
  sockets.close(fd)
  return code
}

test("a connect that nobody takes ends with its errno", async () => {
  using rig = openRig()
  const { fd, port } = rig.sockets.listen("127.0.0.1", 0)
  assert.equal(connectError(rig, "127.0.0.1", port), 0)
  rig.sockets.close(fd)
  assert.equal(connectError(rig, "127.0.0.1", port), 111)
})

test("IPv6 loopback is listened on and reached, by us and by node", async (t) => {
  const has = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === "::1"),
  )
  if (!has) return t.skip("this machine has no IPv6 loopback")
  using rig = openRig()
  const { fd, port } = rig.sockets.listen("::1", 0)
  assert.equal(connectError(rig, "::1", port), 0)
  const socket = await new Promise<Socket>((resolve, reject) => {
    const opened = netConnect(port, "::1", () => resolve(opened)).once("error", reject)
  })
  socket.destroy()
  rig.sockets.close(fd)
})

test("accept() answers EAGAIN when nobody waits", () => {
  using rig = openRig()
  const { fd } = rig.sockets.listen("127.0.0.1", 0)
  assert.equal(rig.sockets.accept(fd), -11)
  rig.sockets.close(fd)
})

/** Sizes of a socket's two buffers, in bytes as the kernel counts them. */
function bufferSizes(fd: number): [send: number, receive: number] {
  using memory = new ControlMemory(4096)
  const { address, u32 } = memory.take(8)
  const size = (option: number): number => {
    u32[1] = 4
    assert.equal(libc.getsockopt(fd, abi.SOL_SOCKET, option, address, address + 4), 0)
    return u32[0]!
  }
  return [size(abi.SO_SNDBUF), size(abi.SO_RCVBUF)]
}

/** Connects to a listener on `host`, and returns the caller's socket with what its buffers were before and after. */
function fitted(
  { sockets, poller }: Rig,
  host: string,
): { before: number[]; after: number[]; far: number[] } {
  const listener = sockets.listen(host, 0)
  const fd = sockets.connect(host, listener.port)
  poller.clear()
  const place = poller.watch(fd, interest.write)
  poller.wait(5000)
  assert.notEqual(poller.ready(place), 0)
  const accepted = sockets.accept(listener.fd)
  const before = bufferSizes(fd)
  sockets.fitToPeer(fd)
  const found = { before, after: bufferSizes(fd), far: bufferSizes(accepted) }
  for (const each of [fd, accepted, listener.fd]) sockets.close(each)
  return found
}

test("fitToPeer() gives both ends of a stream with one address short buffers, and leaves others to the kernel", () => {
  using rig = openRig()
  const limit = (name: string): number => Number(readFileSync(`/proc/sys/net/core/${name}`, "utf8"))
  // The kernel doubles what it is asked for, and asks no more of itself than the machine's operator allows.
  const short = [limit("wmem_max"), limit("rmem_max")].map((most) => 2 * Math.min(256 * 1024, most))
  const near = fitted(rig, "127.0.0.1")
  assert.deepEqual(near.after, short)
  assert.deepEqual(near.far, short)
  // The far end is 127.0.0.2 and the near one 127.0.0.1: to us that is another machine.
  const distant = fitted(rig, "127.0.0.2")
  assert.deepEqual(distant.after, distant.before)
  assert.notDeepEqual(distant.after, short)
})
