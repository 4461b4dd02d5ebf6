import assert from "node:assert/strict"
import { createServer } from "node:net"
import { test } from "node:test"
import type { ControlChannel } from "../agent/control-network.ts"
import { tcpControlNetwork as network } from "./control-net.ts"

/** The channels of both ends of one connection, and the listener. */
async function openChannels(): Promise<{
  readonly caller: ControlChannel
  readonly listener: ControlChannel
  readonly close: () => PromiseLike<void>
}> {
  let take!: (channel: ControlChannel) => void
  const accepted = new Promise<ControlChannel>((resolve) => {
    take = resolve
  })
  const server = await network.listen("127.0.0.1", 0, (channel) => take(channel))
  const caller = await network.connect("127.0.0.1", server.port, 5000)
  return { caller, listener: await accepted, close: () => server[Symbol.asyncDispose]() }
}

const closeOf = (channel: ControlChannel): Promise<string> =>
  new Promise((resolve) => channel.onClose(resolve))

test("what is sent arrives, what was sent last before a close too, and both sides hear of the end once", async () => {
  const { caller, listener, close } = await openChannels()
  let received = ""
  listener.onBytes((bytes) => {
    received += Buffer.from(bytes).toString()
  })
  const [callerEnd, listenerEnd] = [closeOf(caller), closeOf(listener)]
  caller.send(Buffer.from("hello, "))
  caller.send(Buffer.from("and farewell"))
  caller.close()
  assert.equal(await listenerEnd, "the peer closed the channel")
  assert.equal(await callerEnd, "this side closed the channel")
  assert.equal(received, "hello, and farewell")
  caller.send(Buffer.from("nobody hears this"))
  await close()
})

test("a caller that leaves its answers unread is not read any more, until it takes them", async () => {
  const { caller, listener, close } = await openChannels()
  let asked = 0
  const answer = new Uint8Array(2 ** 16)
  listener.onBytes((bytes) => {
    asked += bytes.byteLength
    for (let i = 0; i < bytes.byteLength; i++) listener.send(answer)
  })
  // More answers than the kernel keeps, and nobody reads them yet.
  const questions = 1024
  for (let i = 0; i < questions; i++) {
    caller.send(new Uint8Array(1))
    if (i % 8 === 7) await new Promise(setImmediate)
  }
  for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate)
  assert.ok(asked < questions, `${asked} questions were read`)
  let answered = 0
  await new Promise<void>((resolve) => {
    caller.onBytes((bytes) => {
      answered += bytes.byteLength
      if (answered === questions * answer.byteLength) resolve()
    })
  })
  assert.equal(asked, questions)
  caller.close()
  await close()
})

test("closing a listener ends its channels", async () => {
  const { caller, close } = await openChannels()
  caller.onBytes(() => {})
  const ended = closeOf(caller)
  await close()
  assert.equal(typeof (await ended), "string")
})

test("a port in use, a peer that is not there, and one that does not answer have codes of their own", async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(address !== null && typeof address === "object")
  await assert.rejects(
    network.listen("127.0.0.1", address.port, () => {}),
    { code: "KV_PORT_IN_USE" },
  )
  await new Promise((resolve) => server.close(resolve))
  await assert.rejects(network.connect("127.0.0.1", address.port, 5000), { code: "KV_PEER_UNREACHABLE" })
  await assert.rejects(
    network.listen("203.0.113.7", 0, () => {}),
    { code: "KV_OS" },
  )
})
