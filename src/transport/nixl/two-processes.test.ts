import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { KvError } from "../../errors/kv-error.ts"
import type { PeerProcess } from "../peer-process.test.kit.ts"
import type { RegionDescriptor, Rights } from "../transport.ts"
import { needsNixl, nixlLibrary } from "./nixl-here.test.kit.ts"
import { startNixlPeer } from "./nixl-process.test.kit.ts"

const mib = 2 ** 20
const both: Rights = { read: true, write: true }
/** How UCX may carry: as it chooses, which is the kernel's copy between processes; and over TCP, which needs both sides. */
const ways = [
  { name: "UCX", env: {} },
  { name: "UCX over tcp", env: { UCX_TLS: "tcp" } },
] as const

interface Pair extends AsyncDisposable {
  /** Has the bytes; each of its region's is 7. */
  readonly owner: PeerProcess
  /** Connected to the owner; each byte of its region is 1. */
  readonly reader: PeerProcess
  readonly remote: RegionDescriptor
}

async function openPair(byteLength: number, env: NodeJS.ProcessEnv): Promise<Pair> {
  const [owner, reader] = await Promise.all([
    startNixlPeer(nixlLibrary!, env),
    startNixlPeer(nixlLibrary!, env),
  ])
  const remote = await owner.tell("register", { region: 3, byteLength, access: both, value: 7 })
  await reader.tell("register", { region: 0, byteLength, access: both, value: 1 })
  await owner.meet(reader, [remote], both)
  return {
    owner,
    reader,
    remote,
    async [Symbol.asyncDispose]() {
      await owner[Symbol.asyncDispose]()
      await reader[Symbol.asyncDispose]()
    },
  }
}

/** What an order failed with, and after how many milliseconds. */
async function failure(action: Promise<unknown>): Promise<{ error: KvError; millis: number }> {
  const start = performance.now()
  try {
    await action
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    return { error: thrown, millis: performance.now() - start }
  }
  return assert.fail("it succeeded")
}

for (const { name, env } of ways) {
  test(`${name}: a read and a write between two processes bring every byte`, needsNixl, async () => {
    await using pair = await openPair(64 * mib, env)
    const { owner, reader, remote } = pair
    const move = { own: 0, remote, millis: 20_000, times: 1 }
    assert.equal(await reader.tell("move", { direction: "read", ...move }), 64 * mib)
    assert.equal(await reader.tell("others", { region: 0, value: 7 }), 0)
    await reader.tell("fill", { region: 0, value: 9 })
    assert.equal(await reader.tell("move", { direction: "write", ...move }), 64 * mib)
    assert.equal(await owner.tell("others", { region: 3, value: 9 }), 0)
  })

  test(`${name}: an owner that is killed ends a read at once`, needsNixl, async () => {
    await using pair = await openPair(128 * mib, env)
    const { owner, reader, remote } = pair
    const reading = failure(
      reader.tell("move", { direction: "read", own: 0, remote, millis: 60_000, times: 1000 }),
    )
    await sleep(150)
    owner.signal("SIGKILL")
    const { error, millis } = await reading
    assert.equal(error.code, "KV_PEER_LOST", error.message)
    assert.ok(millis < 5000, `it took ${millis} ms`)
    await reader.tell("lost", {})
    // The reader is none the worse for it: another owner can be read.
    await using next = await startNixlPeer(nixlLibrary!, env)
    const fresh = await next.tell("register", { region: 5, byteLength: mib, access: both, value: 3 })
    await next.meet(reader, [fresh], both)
    await reader.tell("move", { direction: "read", own: 0, remote: fresh, millis: 10_000, times: 1 })
  })

  test(
    `${name}: a stopped owner ends a read by its deadline, and nothing lands afterwards`,
    needsNixl,
    async () => {
      await using pair = await openPair(64 * mib, env)
      const { owner, reader, remote } = pair
      const move = { direction: "read", own: 0, remote } as const
      for (const pauseMillis of [0, 30]) {
        const reading = failure(reader.tell("move", { ...move, millis: 500, times: 1000 }))
        await sleep(pauseMillis)
        owner.signal("SIGSTOP")
        const { error, millis } = await reading
        assert.equal(error.code, "KV_DEADLINE", error.message)
        assert.ok(millis < 3000, `it took ${millis} ms`)
        await reader.tell("fill", { region: 0, value: 0x11 })
        owner.signal("SIGCONT")
        await sleep(300)
        assert.equal(
          await reader.tell("others", { region: 0, value: 0x11 }),
          0,
          `stopped after ${pauseMillis} ms`,
        )
        const ended = await Promise.race([owner.exited, sleep(100)])
        if (ended !== undefined) {
          // UCX 1.23 over TCP: a process that goes on after its peer has given up meets an assertion of UCX.
          assert.deepEqual({ ended, env }, { ended: "SIGABRT", env: { UCX_TLS: "tcp" } })
          return
        }
        await owner.meet(reader, [remote], both)
        await reader.tell("move", { ...move, millis: 10_000, times: 1 })
        assert.equal(await reader.tell("others", { region: 0, value: 7 }), 0)
      }
    },
  )

  test(
    `${name}: a reader that was stopped keeps no region open, and does not take later bytes for true`,
    needsNixl,
    async () => {
      await using pair = await openPair(64 * mib, env)
      const { owner, reader, remote } = pair
      const reading = failure(
        reader.tell("move", { direction: "read", own: 0, remote, millis: 60_000, times: 1000 }),
      )
      await sleep(100)
      reader.signal("SIGSTOP")
      const start = performance.now()
      await owner.tell("deregister", { region: 3 })
      assert.ok(performance.now() - start < 8000)
      await owner.tell("fill", { region: 3, value: 0xee })
      reader.signal("SIGCONT")
      const { error } = await reading
      assert.ok(error.code === "KV_RKEY_REJECTED" || error.code === "KV_PEER_LOST", error.message)
      // The owner lives, and serves others.
      const fresh = await owner.tell("register", { region: 4, byteLength: mib, access: both, value: 5 })
      await owner.meet(reader, [fresh], both)
      await reader.tell("move", { direction: "read", own: 0, remote: fresh, millis: 10_000, times: 1 })
    },
  )

  test(`${name}: a reader that was killed holds nothing up, and its owner serves on`, needsNixl, async () => {
    await using pair = await openPair(64 * mib, env)
    const { owner, reader, remote } = pair
    const reading = failure(
      reader.tell("move", { direction: "read", own: 0, remote, millis: 60_000, times: 1000 }),
    )
    await sleep(100)
    reader.signal("SIGKILL")
    await reading
    const start = performance.now()
    await owner.tell("deregister", { region: 3 })
    assert.ok(performance.now() - start < 2000)
    await using next = await startNixlPeer(nixlLibrary!, env)
    await next.tell("register", { region: 0, byteLength: mib, access: both, value: 1 })
    const fresh = await owner.tell("register", { region: 4, byteLength: mib, access: both, value: 5 })
    await owner.meet(next, [fresh], both)
    await next.tell("move", { direction: "read", own: 0, remote: fresh, millis: 10_000, times: 1 })
  })
}

test(
  "a writer that was stopped in the midst of it makes closing the region an error",
  needsNixl,
  async () => {
    await using pair = await openPair(64 * mib, {})
    const { owner, reader, remote } = pair
    const writing = failure(
      reader.tell("move", { direction: "write", own: 0, remote, millis: 60_000, times: 1000 }),
    )
    await sleep(100)
    reader.signal("SIGSTOP")
    const { error } = await failure(owner.tell("deregister", { region: 3 }))
    assert.equal(error.code, "KV_PEER_LOST")
    assert.match(error.message, /must not be used/)
    reader.signal("SIGCONT")
    await writing
  },
)

test("a process that has used NIXL ends with its own exit code", needsNixl, async () => {
  await using pair = await openPair(mib, {})
  const { owner, reader, remote } = pair
  await reader.tell("move", { direction: "read", own: 0, remote, millis: 10_000, times: 1 })
  const lost = failure(reader.tell("exit", { code: 7 }))
  assert.equal(await reader.exited, 7)
  await lost
  await owner.tell("close", {})
  const ended = failure(owner.tell("exit", { code: 0 }))
  assert.equal(await owner.exited, 0)
  await ended
})
