import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { connect, type Socket } from "node:net"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { Session } from "../transport.ts"
import { IntroductionListener, type IntroductionOwner, introduce } from "./introduction.ts"
import type { SideChannel } from "./side-channel.ts"

const rails = [{ device: "model0", link: "model", network: "one", rate: 1 }]
const soon = (millis = 5000): number => performance.now() + millis
const newSession = (): Session => ({ id: randomBytes(16).toString("hex"), key: randomBytes(32) })

interface House extends IntroductionOwner, AsyncDisposable {
  readonly port: number
  readonly welcomedSessions: string[]
  readonly channels: SideChannel[]
}

async function openHouse(sessions: readonly Session[]): Promise<House> {
  const rights = { read: true, write: false }
  const owner = {
    sessions: new Map(sessions.map(({ id, key }) => [id, { key, rights }])),
    introduce: () => ({ rails, partBytes: 4096 }),
    welcomedSessions: [] as string[],
    channels: [] as SideChannel[],
    welcomed(channel: SideChannel, session: string) {
      owner.channels.push(channel)
      owner.welcomedSessions.push(session)
    },
  }
  const listener = await IntroductionListener.open("127.0.0.1", owner)
  return Object.assign(owner, {
    port: listener.port,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  })
}

async function rejects(action: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(action, (error: unknown) => {
    assert.ok(error instanceof KvError, String(error))
    assert.equal(error.code, code, error.message)
    return true
  })
}

/** Sends raw bytes, and returns everything that came back before the other side hung up. */
async function say(port: number, ...parts: readonly Uint8Array[]): Promise<string> {
  const socket: Socket = connect(port, "127.0.0.1")
  let heard = ""
  socket.on("data", (bytes) => {
    heard += bytes.toString("latin1")
  })
  socket.on("error", () => {})
  for (const part of parts) socket.write(part)
  await new Promise((resolve) => socket.once("close", resolve))
  return heard
}

const frame = (value: unknown): Buffer => {
  const body = Buffer.from(typeof value === "string" ? value : JSON.stringify(value))
  const header = Buffer.alloc(4)
  header.writeUInt32LE(body.byteLength)
  return Buffer.concat([header, body])
}

test("who knows the session's key is let in, and learns rights and rails", async () => {
  const session = newSession()
  await using house = await openHouse([session])
  const welcome = await introduce("127.0.0.1", house.port, session, soon())
  assert.deepEqual(
    [welcome.rights, welcome.rails, welcome.partBytes],
    [{ read: true, write: false }, rails, 4096],
  )
  assert.deepEqual(house.welcomedSessions, [session.id])
  welcome.channel.close("done")
  await house.channels[0]!.ended
})

test("a strange session and a wrong key are refused", async () => {
  const session = newSession()
  await using house = await openHouse([session])
  await rejects(introduce("127.0.0.1", house.port, newSession(), soon()), "KV_PEER_UNTRUSTED")
  const forged = { id: session.id, key: randomBytes(32) }
  await rejects(introduce("127.0.0.1", house.port, forged, soon()), "KV_PEER_UNTRUSTED")
  assert.deepEqual(house.welcomedSessions, [])
})

test("a listener that does not know the key is found out, and one that is gone is unreachable", async () => {
  const session = newSession()
  const impostor = await openHouse([{ id: session.id, key: randomBytes(32) }])
  await rejects(introduce("127.0.0.1", impostor.port, session, soon()), "KV_PEER_UNTRUSTED")
  await impostor[Symbol.asyncDispose]()
  await rejects(introduce("127.0.0.1", impostor.port, session, soon()), "KV_PEER_UNREACHABLE")
})

test("a stranger learns a nonce and nothing else, whatever it says", async () => {
  await using house = await openHouse([newSession()])
  const hello = { type: "hello", session: "00".repeat(16), nonce: "00".repeat(16), proof: "00".repeat(32) }
  const attempts = [
    [frame(hello)],
    [frame("{")],
    [frame([])],
    [frame({ type: "open", call: 1, lanes: [] })],
    [frame({ ...hello, session: "x" })],
    [Buffer.from([255, 255, 255, 255])],
    [randomBytes(100_000)],
  ]
  for (const parts of attempts) {
    const heard = await say(house.port, ...parts)
    assert.match(heard, /"greeting"/)
    assert.doesNotMatch(heard, /model0|partBytes|rights/)
  }
  assert.deepEqual(house.welcomedSessions, [])
})

test("a proof that was overheard opens nothing a second time", async () => {
  const session = newSession()
  await using house = await openHouse([session])
  // What a caller sends depends on the nonce of that one greeting.
  const recorded: Buffer[] = []
  const { createServer } = await import("node:net")
  const between = createServer((near) => {
    const far = connect(house.port, "127.0.0.1")
    near.on("data", (bytes: Buffer) => {
      recorded.push(bytes)
      far.write(bytes)
    })
    far.on("data", (bytes) => near.write(bytes))
    for (const socket of [near, far]) socket.on("error", () => {})
    far.on("close", () => near.destroy())
    near.on("close", () => far.destroy())
  })
  await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve))
  const { port } = between.address() as { port: number }
  const welcome = await introduce("127.0.0.1", port, session, soon())
  welcome.channel.close("done")
  assert.equal(house.welcomedSessions.length, 1)
  assert.match(await say(house.port, ...recorded), /"refused"/)
  assert.equal(house.welcomedSessions.length, 1)
  between.close()
})

test("callers that say nothing are bounded in number", async () => {
  const session = newSession()
  await using house = await openHouse([session])
  const strangers = Array.from({ length: 80 }, () => connect(house.port, "127.0.0.1"))
  for (const stranger of strangers) stranger.on("error", () => {})
  const ended = strangers.map(
    (stranger) => new Promise<void>((resolve) => stranger.once("close", () => resolve())),
  )
  // At least those beyond the 64 that may wait are cut off at once.
  const first16 = new Promise<void>((resolve) => {
    let left = 16
    for (const end of ended) void end.then(() => --left === 0 && resolve())
    for (const stranger of strangers) stranger.resume()
  })
  await first16
  for (const stranger of strangers) stranger.destroy()
  await Promise.all(ended)
  const welcome = await introduce("127.0.0.1", house.port, session, soon())
  welcome.channel.close("done")
})
