/** Streams in TLS: nothing crosses in clear, both sides prove themselves, and neither is talked out of it. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer, connect as netConnect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { createServer as createTlsServer } from "node:tls"
import { runInChild } from "../../os/child.test.kit.ts"
import type { EndpointAddress, Transport } from "../transport.ts"
import { hello, isKv, mib, openHonest, openRig, Raw, type Rig } from "./raw-stream.test.kit.ts"
import { createTcp, tcp } from "./tcp.ts"
import { tlsKey, tlsOptions } from "./tls-options.ts"

const both = { read: true, write: true }
const secured = createTcp({ encryption: "tls" })
const options = () => ({ deadline: performance.now() + 10_000, peerHost: "127.0.0.1" })

/** A way to a rig that sees what passes, and may change it. */
async function wiretap(rig: Rig, change: (chunk: Buffer) => Buffer = (chunk) => chunk) {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  const server = createServer((caller) => {
    const onward = netConnect(rig.port, "127.0.0.1")
    sockets.push(caller, onward)
    for (const end of [caller, onward]) end.on("error", () => {})
    caller.on("data", (chunk) => {
      heard.push(chunk)
      onward.write(chunk)
    })
    onward.on("data", (chunk) => {
      heard.push(chunk)
      caller.write(change(chunk))
    })
    caller.on("close", () => onward.destroy())
    onward.on("close", () => caller.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  return {
    address: { ...rig.endpoint.address, ports: [port] } as EndpointAddress,
    heard: () => Buffer.concat(heard),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Whether a wiretap finds the payload of a read, and the session's id, which the handshake shows. */
async function overheard(transport: Transport): Promise<{ payload: boolean; magic: boolean }> {
  await using rig = await openRig(both, transport)
  const mark = randomBytes(64)
  rig.span.view(1000, 64).set(mark)
  await using tap = await wiretap(rig)
  await using caller = await openHonest(rig, 1, { postSpinMicros: 0 }, transport, tap.address)
  await caller.read(mib)
  const heard = tap.heard()
  assert.ok(heard.byteLength > mib, "the payload passed here")
  return { payload: heard.includes(mark), magic: heard.includes("KFY1") }
}

test("what crosses a TLS stream is not to be read on the way; without TLS it is", async () => {
  assert.deepEqual(await overheard(tcp), { payload: true, magic: true })
  assert.deepEqual(await overheard(secured), { payload: false, magic: false })
})

test("a byte that was changed on the way ends a TLS stream, and never arrives", async () => {
  await using rig = await openRig(both, secured)
  let passed = 0
  await using tap = await wiretap(rig, (chunk) => {
    passed += chunk.byteLength
    if (passed > mib / 2) chunk[chunk.byteLength >> 1]! ^= 1
    return chunk
  })
  await using caller = await openHonest(rig, 1, {}, secured, tap.address)
  await assert.rejects(caller.read(4 * mib), isKv("KV_PEER_LOST"))
  await caller.connection.lost
})

test("a caller with a wrong key, or of an unknown session, is refused; the right one gets in after them", async () => {
  await using rig = await openRig(both, secured)
  await using caller = await openHonest(rig, 1, {}, secured)
  const { id, key } = rig.session
  for (const session of [
    { id, key: randomBytes(32) },
    { id: randomBytes(16).toString("hex"), key },
  ]) {
    const refused = caller.endpoint.connect(session, rig.endpoint.address, options())
    await assert.rejects(refused, isKv("KV_PEER_UNTRUSTED"))
  }
  await caller.read()
  await rig.endpoint.dismiss(id)
  await assert.rejects(
    caller.endpoint.connect(rig.session, rig.endpoint.address, options()),
    isKv("KV_PEER_UNTRUSTED"),
  )
})

test("a listener that does not know the session's key is not believed", async () => {
  const endpoint = await secured.open({ host: "127.0.0.1", rails: 1 })
  const psk = tlsKey(randomBytes(32))
  const impostor = createTlsServer({ ...tlsOptions, pskCallback: () => psk })
  impostor.on("tlsClientError", () => {})
  await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve))
  const { port } = impostor.address() as { port: number }
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  const address = { transport: "tcp", host: "127.0.0.1", ports: [port], tls: 1 }
  await assert.rejects(endpoint.connect(session, address, options()), isKv("KV_PEER_UNTRUSTED"))
  await endpoint[Symbol.asyncDispose]()
  await new Promise((resolve) => impostor.close(resolve))
})

test("a certificate that this machine trusts does not take the place of the session's key", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-tls-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const [keyFile, certFile] = [join(folder, "key.pem"), join(folder, "cert.pem")]
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-keyout", keyFile, "-out", certFile, ...subject],
  ])
  if (made.status !== 0) return t.skip("there is no openssl here to make a certificate with")
  const server = createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) })
  server.on("tlsClientError", () => {})
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => new Promise((resolve) => server.close(resolve)))
  const { port } = server.address() as { port: number }
  const { stdout, stderr } = await runInChild(`
    import { spawnSync } from "node:child_process"
    import { connect } from "node:tls"
    if (process.argv[2] !== "trusting") {
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: ${JSON.stringify(certFile)} }
      process.exit(spawnSync(process.execPath, [process.argv[1], "trusting"], { stdio: "inherit", env }).status)
    }
    const trusted = await new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port: ${port} }, () => resolve(socket.authorized))
      socket.once("error", (error) => resolve(error.message))
    })
    const { createTcp } = await ours("transport/tcp/tcp.js")
    const endpoint = await createTcp({ encryption: "tls" }).open({ host: "127.0.0.1", rails: 1 })
    const session = { id: "00".repeat(16), key: new Uint8Array(32) }
    const address = { transport: "tcp", host: "127.0.0.1", ports: [${port}], tls: 1 }
    const options = { deadline: performance.now() + 5000, peerHost: "127.0.0.1" }
    const code = await endpoint.connect(session, address, options).then(() => "in", (error) => error.code)
    console.log(JSON.stringify({ trusted, code }))
    process.exit(0)
  `)
  assert.notEqual(stdout, "", stderr)
  assert.deepEqual(JSON.parse(stdout), { trusted: true, code: "KV_PEER_UNTRUSTED" })
})

test("sides that do not want the same refuse each other with the reason, and no address talks them out of it", async () => {
  await using open = await openRig(both, tcp)
  await using closed = await openRig(both, secured)
  const clear = await tcp.open({ host: "127.0.0.1", rails: 1 })
  const wary = await secured.open({ host: "127.0.0.1", rails: 1 })
  try {
    assert.deepEqual(clear.reaches(closed.endpoint.address), {
      usable: false,
      why: "the peer wants TLS and this side does not offer it",
    })
    assert.deepEqual(wary.reaches(open.endpoint.address), {
      usable: false,
      why: "this side wants TLS and the peer does not offer it",
    })
    assert.equal(wary.reaches({ ...closed.endpoint.address, tls: 2 }).usable, false)
    await assert.rejects(
      clear.connect(closed.session, closed.endpoint.address, options()),
      (error) => isKv("KV_PEER_REFUSED")(error) && /the peer wants TLS/.test(String(error)),
    )
    await assert.rejects(
      wary.connect(open.session, open.endpoint.address, options()),
      (error) => isKv("KV_PEER_REFUSED")(error) && /this side wants TLS/.test(String(error)),
    )
    // An address that lies about it.
    const lie = { ...open.endpoint.address, tls: 1 }
    await assert.rejects(wary.connect(open.session, lie, options()), isKv("KV_PEER_REFUSED"))
    const { tls: _, ...silent } = closed.endpoint.address
    const short = { ...options(), deadline: performance.now() + 300 }
    await assert.rejects(clear.connect(closed.session, silent as EndpointAddress, short), isKv("KV_DEADLINE"))
    // Who speaks first, and in clear, hears nothing but an alert.
    const raw = await Raw.dial(closed.port)
    raw.socket.write(hello(closed.session, new Uint8Array(16)))
    await raw.closed
  } finally {
    await clear[Symbol.asyncDispose]()
    await wary[Symbol.asyncDispose]()
  }
})

test("an address that nobody answers is told as such, also with TLS", async () => {
  const endpoint = await secured.open({ host: "127.0.0.1", rails: 1 })
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
  const { port } = silent.address() as { port: number }
  const address = { transport: "tcp", host: "127.0.0.1", ports: [port], tls: 1 }
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  const soon = { ...options(), deadline: performance.now() + 200 }
  await assert.rejects(endpoint.connect(session, address, soon), isKv("KV_DEADLINE"))
  await endpoint[Symbol.asyncDispose]()
  silent.close()
})

test("connections that end, and handshakes that fail, leave no descriptor behind on either side", async () => {
  const { stdout, stderr } = await runInChild(`
    import { readdirSync } from "node:fs"
    const { createTcp } = await ours("transport/tcp/tcp.js")
    const tls = createTcp({ encryption: "tls" })
    const session = { id: "00".repeat(16), key: new Uint8Array(32) }
    const wrong = { ...session, key: new Uint8Array(32).fill(1) }
    const a = await tls.open({ host: "127.0.0.1", rails: 2 })
    const b = await tls.open({ host: "127.0.0.1", rails: 2 })
    await a.admit(session, { read: true, write: true })
    const reach = (by) => b.connect(by, a.address, { deadline: performance.now() + 5000, peerHost: "127.0.0.1" })
    const open = () => readdirSync("/proc/self/fd").length
    const round = async () => {
      await (await reach(session))[Symbol.asyncDispose]()
      await reach(wrong).catch(() => {})
    }
    await round()
    const settled = async (wanted) => {
      for (let i = 0; i < 100 && open() > wanted; i++) await new Promise((resolve) => setTimeout(resolve, 50))
      return open()
    }
    await settled(0)
    const before = open()
    for (let i = 0; i < 5; i++) await round()
    console.log(JSON.stringify({ more: (await settled(before)) - before }))
    process.exit(0)
  `)
  assert.notEqual(stdout, "", stderr)
  assert.deepEqual(JSON.parse(stdout), { more: 0 })
})
