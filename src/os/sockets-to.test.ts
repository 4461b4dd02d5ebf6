import assert from "node:assert/strict"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { test } from "node:test"
import { reachedAt, sameSocketAddress, shutSocketsTo } from "./sockets-to.ts"

/** A `sockaddr_in` of 127.0.0.1, as the kernel writes it. */
function socketAddress(port: number): Uint8Array {
  return Uint8Array.of(2, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
}

test("connections to one address end, and no others", async () => {
  const accepted: Socket[] = []
  const open = async (): Promise<number> => {
    const server = createServer((socket) => accepted.push(socket)).listen(0, "127.0.0.1")
    await once(server, "listening")
    server.unref()
    return (server.address() as { port: number }).port
  }
  const [one, other] = [await open(), await open()]
  const sockets = [connect(one, "127.0.0.1"), connect(one, "127.0.0.1"), connect(other, "127.0.0.1")]
  await Promise.all(sockets.map((socket) => once(socket, "connect")))
  const ends = sockets.slice(0, 2).map((socket) => once(socket.resume(), "end"))
  assert.equal(shutSocketsTo(socketAddress(one)), 2)
  await Promise.all(ends)
  sockets[2]!.write("still here")
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(sockets[2]!.readyState, "open")
  assert.equal(shutSocketsTo(socketAddress(one === 65535 ? 1 : 65535)), 0)
  for (const socket of [...sockets, ...accepted]) socket.destroy()
})

test("family, port and address count, and nothing behind them", () => {
  const address = socketAddress(4711)
  const padded = Uint8Array.from(address)
  padded[15] = 9
  assert.ok(sameSocketAddress(address, padded))
  for (const at of [0, 2, 3, 4, 7]) {
    const wrong = Uint8Array.from(address)
    wrong[at]! += 1
    assert.equal(sameSocketAddress(address, wrong), false, `byte ${at}`)
  }
  assert.equal(sameSocketAddress(address, address.subarray(0, 6)), false)
  const six = new Uint8Array(28)
  six.set([10, 0, 1, 2, 9, 9, 9, 9])
  const flow = Uint8Array.from(six)
  flow[4] = 0
  assert.ok(sameSocketAddress(six, flow), "the flow label is no part of an address")
  flow[23] = 1
  assert.equal(sameSocketAddress(six, flow), false)
  assert.equal(sameSocketAddress(Uint8Array.of(1, 0, 47), Uint8Array.of(1, 0, 47)), false)
})

test("a socket that listens everywhere is reached at its host's address; any other address is left alone", () => {
  const everywhere = socketAddress(4711)
  everywhere.fill(0, 4, 8)
  assert.ok(sameSocketAddress(reachedAt(everywhere, "127.0.0.1"), socketAddress(4711)))
  assert.equal(reachedAt(everywhere, "::1"), everywhere)
  assert.equal(reachedAt(everywhere, "elsewhere"), everywhere)
  const own = socketAddress(4711)
  assert.equal(reachedAt(own, "10.1.2.3"), own)
  const six = new Uint8Array(28)
  six.set([10, 0, 1, 2])
  assert.equal(reachedAt(six, "10.1.2.3"), six)
})
