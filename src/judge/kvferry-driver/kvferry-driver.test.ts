import assert from "node:assert/strict"
import { test } from "node:test"
import { noLibfabric } from "../../transport/libfabric/two-rails.test.kit.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { Level } from "../driver/protocol.ts"
import { assertMoved, fill, openDriver, openPair, run, transferOf } from "./two-drivers.test.kit.ts"

const remote = [7, 3, 4, 63, 12]
const local = [9, 1, 40, 41, 2]

const engines = [
  ...["kvferry", "kvferry:shm", "kvferry:cma", "kvferry:tcp"].map((name) => ({ name, skip: false as const })),
  ...["kvferry:libfabric-tcp", "kvferry:libfabric-shm"].map((name) => ({ name, skip: noLibfabric() })),
]

async function refused(asked: Promise<unknown>): Promise<DriverFailed> {
  try {
    await asked
  } catch (thrown) {
    assert.ok(thrown instanceof DriverFailed, String(thrown))
    assert.equal(thrown.kind, "error", thrown.text)
    return thrown
  }
  return assert.fail("it was not refused")
}

for (const { name, ...options } of engines) {
  for (const level of ["pieces", "blocks"] satisfies Level[]) {
    test(`${name} reads and writes ${level} between two processes`, options, async () => {
      await using pair = await openPair(name, level)
      const { source, target } = pair
      fill(source, 1)
      fill(target, 2)
      const tokens = remote.length * 4
      const { offer } = await source.ask("lend", { blocks: remote, tokens, access: "read" })
      await target.ask("prepare", transferOf(1, "source", "read", { remote, local, offer }))
      for (let round = 0; round < 2; round++) {
        fill(target, 3)
        const { state, error, receipt } = await run(target, 1)
        assert.equal(state, "done", error?.text)
        assert.equal(receipt?.bytes, remote.length * 2048)
        assert.equal(
          receipt.rails.reduce((sum, { bytes }) => sum + bytes, 0),
          receipt.bytes,
        )
        assert.equal(receipt.path, pair.path)
        assertMoved(source, remote, target, local)
      }
      const { micros } = await target.ask("measure", {
        transfers: [1],
        rounds: 5,
        millis: 0,
        pauseMicros: 0,
        threads: 1,
      })
      assert.equal(micros.length, 5)
      await target.ask("release", { transfer: 1 })

      const into = await source.ask("lend", { blocks: remote, tokens, access: "write" })
      await target.ask("prepare", transferOf(2, "source", "write", { remote, local, ...into }))
      fill(target, 4)
      const written = await run(target, 2)
      assert.equal(written.state, "done", written.error?.text)
      assertMoved(target, local, source, remote)
    })
  }
}

test("a path that is not here is refused with the reason", async () => {
  const { code, text } = await refused(openDriver("kvferry:verbs", "a", "blocks"))
  assert.equal(code, "KV_TRANSPORT_UNAVAILABLE")
  assert.match(text, /verbs is required and cannot be opened here/)
})

test("a peer without the path that was asked for is refused, at both levels", async () => {
  for (const level of ["pieces", "blocks"] satisfies Level[]) {
    const source = await openDriver("kvferry:tcp", "source", level)
    const target = await openDriver("kvferry:shm", "target", level)
    await using _ = source.driver
    await using __ = target.driver
    const { card } = await source.driver.ask("invite", { peer: "target" })
    const { text } = await refused(target.driver.ask("connect", { peer: "source", card }))
    assert.match(text, /shm/)
  }
})

test("a read across a reuse fails, and one after a new lease does not", async () => {
  await using pair = await openPair("kvferry:shm", "blocks", { options: { integrity: "epoch" } })
  const { source, target } = pair
  fill(source, 1)
  const question = { blocks: remote, tokens: remote.length * 4, access: "read" } as const
  const first = await source.ask("lend", question)
  await target.ask("prepare", transferOf(1, "source", "read", { remote, local, ...first }))
  await source.ask("reuse", { blocks: [remote[4]!] })
  const crossed = await run(target, 1)
  assert.equal(crossed.state, "failed")
  assert.equal(crossed.error?.code, "KV_BLOCK_REUSED")
  assert.equal(crossed.receipt?.integrity, "epoch reused")
  const second = await source.ask("lend", question)
  await target.ask("prepare", transferOf(2, "source", "read", { remote, local, ...second }))
  assert.equal((await run(target, 2)).state, "done")
})

test("pulls claim and give back with their one post, and bring their note", async () => {
  await using pair = await openPair("kvferry:tcp", "blocks", { options: { pull: true } })
  const { source, target } = pair
  fill(source, 1)
  const { offer } = await source.ask("lend", { blocks: remote, tokens: remote.length * 4, access: "read" })
  const transfer = transferOf(1, "source", "read", { remote, local, offer })
  await target.ask("prepare", { ...transfer, note: "request 1 is done" })
  assert.equal((await run(target, 1)).state, "done")
  assertMoved(source, remote, target, local)
  const { notes } = await source.ask("notes", {})
  assert.deepEqual(notes, [{ from: "target", text: "request 1 is done" }])
  assert.equal((await run(target, 1)).error?.code, "KV_LEASE_UNKNOWN")
})

test("a transfer from a paused peer ends at its deadline, or when it is cancelled", async () => {
  for (const level of ["pieces", "blocks"] satisfies Level[]) {
    await using pair = await openPair("kvferry:tcp", level)
    const { source, target } = pair
    const { offer } = await source.ask("lend", { blocks: remote, tokens: remote.length * 4, access: "read" })
    await target.ask("prepare", transferOf(1, "source", "read", { remote, local, offer }))
    source.pause()
    await target.ask("post", { transfer: 1, timeoutMillis: 300 })
    assert.equal((await target.ask("wait", { transfer: 1, millis: 0 })).state, "pending")
    const late = await target.ask("wait", { transfer: 1, millis: 5000 })
    assert.deepEqual([late.state, late.error?.code], ["failed", "KV_DEADLINE"])
    await target.ask("post", { transfer: 1, timeoutMillis: 60_000 })
    await target.ask("cancel", { transfer: 1 })
    assert.equal((await target.ask("wait", { transfer: 1, millis: 5000 })).state, "cancelled")
    source.resume()
  }
})

test("what was taken back from peers is not read any more", async () => {
  for (const level of ["pieces", "blocks"] satisfies Level[]) {
    for (const engine of ["kvferry:shm", "kvferry:cma", "kvferry:tcp"]) {
      await using pair = await openPair(engine, level)
      const { source, target } = pair
      const { offer } = await source.ask("lend", { blocks: remote, tokens: 20, access: "read" })
      await target.ask("prepare", transferOf(1, "source", "read", { remote, local, offer }))
      await source.ask("deregister", {})
      assert.equal((await run(target, 1)).state, "failed", `${engine}, ${level}`)
    }
  }
})

test("questions that make no sense are errors with kvferry's words, and the driver goes on", async () => {
  await using pair = await openPair("kvferry:shm", "pieces")
  const { target } = pair
  const wrong = transferOf(1, "nobody", "read", { remote, local })
  assert.equal((await refused(target.ask("prepare", wrong))).code, "KV_USAGE")
  const outside = transferOf(1, "source", "read", { remote: [64], local: [1] })
  assert.equal((await refused(target.ask("prepare", outside))).code, "KV_REGION_BOUNDS")
  assert.equal((await refused(target.ask("wait", { transfer: 9, millis: 0 }))).code, "KV_USAGE")
  const odd = openDriver("kvferry:shm", "a", "pieces", { options: { speed: 9 } })
  assert.match((await refused(odd)).text, /"speed"/)
  assert.deepEqual(await target.ask("notes", {}), { notes: [] })
})
