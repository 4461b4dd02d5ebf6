import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { closeSync, fstatSync, openSync, readdirSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { runInChild } from "./child.test.kit.ts"
import {
  closeFile,
  connectLocally,
  filesPerMessageMax,
  listenLocally,
  receiveFiles,
  sendFiles,
  socketPeer,
} from "./local-sockets.ts"

const freshName = (): string => `kvferry-test-${randomBytes(8).toString("hex")}`
const openFiles = (): number => readdirSync("/proc/self/fd").length

interface Pair extends AsyncDisposable {
  readonly near: number
  readonly far: number
}

/** Two ends of a connection through the abstract namespace; the far one was accepted by Node. */
async function connected(): Promise<Pair> {
  const name = freshName()
  const server: Server = createServer({ pauseOnConnect: true })
  server.listen({ fd: listenLocally(name) })
  const accepted = new Promise<{ fd: number; close(): void }>((resolve) => {
    server.once("connection", (socket) => {
      const { fd } = Reflect.get(socket, "_handle") as { fd: number }
      resolve({ fd, close: () => socket.destroy() })
    })
  })
  const near = connectLocally(name)
  assert.ok(near !== undefined)
  const far = await accepted
  return {
    near,
    far: far.fd,
    async [Symbol.asyncDispose]() {
      closeFile(near)
      far.close()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test("files cross a local socket: both descriptors are of one file", async () => {
  await using pair = await connected()
  const file = openSync("/proc/self/exe", "r")
  assert.equal(sendFiles(pair.far, 2, [file, file]), 0)
  const { mark, files, dropped } = receiveFiles(pair.near, 2)
  assert.deepEqual({ mark, count: files.length, dropped }, { mark: 2, count: 2, dropped: false })
  for (const received of files) {
    assert.notEqual(received, file)
    assert.equal(fstatSync(received).ino, fstatSync(file).ino)
    closeSync(received)
  }
  closeSync(file)
})

test("nothing is there before it was sent, and nobody waits for it", async () => {
  await using pair = await connected()
  assert.deepEqual(receiveFiles(pair.near, 1), { mark: undefined, files: [], dropped: false })
})

test("files that nobody asked for are closed at once", async () => {
  await using pair = await connected()
  const file = openSync("/dev/null", "r")
  const before = openFiles()
  assert.equal(sendFiles(pair.far, 1, Array<number>(filesPerMessageMax).fill(file)), 0)
  const { files } = receiveFiles(pair.near, 1)
  assert.equal(files.length, 1)
  assert.equal(openFiles(), before + 1)
  closeSync(files[0]!)
  closeSync(file)
})

test("the kernel names the process at the other end", async () => {
  await using pair = await connected()
  const us = { pid: process.pid, uid: process.getuid!() }
  assert.deepEqual([socketPeer(pair.near), socketPeer(pair.far)], [us, us])
  assert.equal(socketPeer(4711), undefined)
})

test("a name that nobody listens on, or somebody does, is an error with its code", async () => {
  const code = (action: () => unknown): string => {
    try {
      action()
    } catch (error) {
      assert.ok(error instanceof KvError, String(error))
      return error.code
    }
    return "none"
  }
  assert.equal(
    code(() => connectLocally(freshName())),
    "KV_PEER_UNREACHABLE",
  )
  const name = freshName()
  const fd = listenLocally(name)
  assert.equal(
    code(() => listenLocally(name)),
    "KV_PORT_IN_USE",
  )
  closeFile(fd)
  assert.equal(
    code(() => connectLocally(name)),
    "KV_PEER_UNREACHABLE",
  )
})

test("a queue of callers that is full is told, and not waited for", () => {
  const name = freshName()
  const listener = listenLocally(name)
  const callers: number[] = []
  let fd = connectLocally(name)
  while (fd !== undefined && callers.length < 10_000) {
    callers.push(fd)
    fd = connectLocally(name)
  }
  assert.equal(fd, undefined)
  for (const caller of callers) closeFile(caller)
  closeFile(listener)
})

test("a process without room for more descriptors is told that files were dropped", async () => {
  const ended = await runInChild(`
    import { spawnSync } from "node:child_process"
    import { openSync, closeSync } from "node:fs"
    if (process.argv[2] !== "starved") {
      const { stdout, stderr, status } = spawnSync("sh", ["-c", 'ulimit -n 64; exec "$0" "$1" starved', process.execPath, process.argv[1]])
      process.stdout.write(stdout)
      process.stderr.write(stderr)
      process.exit(status)
    }
    const { listenLocally, connectLocally, sendFiles, receiveFiles } = await ours("os/local-sockets.js")
    const { createServer } = await import("node:net")
    const fd = listenLocally("kvferry-test-starved-" + process.pid)
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      const file = openSync("/dev/null", "r")
      const files = []
      try { for (;;) files.push(openSync("/dev/null", "r")) } catch {}
      for (const extra of files.splice(0, 3)) closeSync(extra)
      const problem = sendFiles(socket._handle.fd, 1, Array(8).fill(file))
      const received = receiveFiles(near, 8)
      console.log(JSON.stringify({ problem, count: received.files.length, dropped: received.dropped }))
      process.exit(0)
    })
    server.listen({ fd })
    const near = connectLocally("kvferry-test-starved-" + process.pid)
  `)
  assert.deepEqual(JSON.parse(ended.stdout), { problem: 0, count: 3, dropped: true }, ended.stderr)
})
