import assert from "node:assert/strict"
import { test } from "node:test"
import type { Registration } from "../rdma/driver.ts"
import type { Rights } from "../transport.ts"
import { noLibfabric, TwoRails } from "./two-rails.test.kit.ts"

const skip = noLibfabric()
const mib = 2 ** 20
const both: Rights = { read: true, write: true }

async function joined(
  provider: "tcp" | "shm",
  rights: Rights,
  access: Rights = both,
): Promise<{ rails: TwoRails; a: Registration; b: Registration }> {
  const rails = new TwoRails(provider, 4 * mib)
  await rails.join(rights)
  assert.equal(rails.notes[1].provenCount, 1, JSON.stringify(rails.notes[1].ends))
  const a = await rails.rails[0].register(rails.source.addressOf(0, 4 * mib), 4 * mib, access)
  const b = await rails.rails[1].register(rails.target.addressOf(0, 4 * mib), 4 * mib, both)
  return { rails, a, b }
}

const keysOf = (a: Registration, b: Registration): { local: number; remote: number; iova: number } => ({
  local: b.localKey,
  remote: a.remoteKey,
  iova: a.iova,
})

for (const provider of ["tcp", "shm"] as const) {
  test(`${provider}: every unit that is posted lands once, in either direction, with its bytes`, {
    skip,
  }, async () => {
    const { rails, a, b } = await joined(provider, both)
    const [count, length] = [300, (4 * mib) / 512]
    const used = count * length
    const read = await rails.work("read", count, length, keysOf(a, b))
    for (let posted = 0; posted < count; ) {
      const room = rails.ports[1].room(1)
      posted += rails.ports[1].post(1, read, posted, Math.min(room, count - posted), posted)
      await rails.until(() => rails.ports[1].room(1) > 0)
    }
    await rails.until(() => rails.notes[1].landedReads.length === count)
    const numbers = [...rails.notes[1].landedReads].sort((x, y) => x - y)
    assert.deepEqual(
      numbers,
      Array.from({ length: count }, (_, i) => i),
    )
    assert.equal(Buffer.compare(rails.source.view(0, used), rails.target.view(0, used)), 0)
    assert.ok(rails.target.view(used, 4 * mib - used).every((byte) => byte === 0))

    rails.target.view(0, used).fill(0x5a)
    const beyond = rails.source.view(30 * length, mib).slice()
    const write = await rails.work("write", 30, length, keysOf(a, b))
    assert.equal(rails.ports[1].post(1, write, 0, 30, 0), 30)
    await rails.until(() => rails.notes[1].landedWrites.length === 30)
    assert.ok(rails.source.view(0, 30 * length).every((byte) => byte === 0x5a))
    assert.deepEqual(rails.source.view(30 * length, mib), beyond)
    assert.deepEqual([...rails.notes[1].failures, ...rails.notes[1].ends], [])
    await a.close()
    await b.close()
    await rails.close()
  })
}

/** Posts one unit of 4096 bytes and waits for the lane's end. */
async function refusedUnit(
  rails: TwoRails,
  direction: "read" | "write",
  keys: { readonly local: number; readonly remote: number; readonly iova: number },
): Promise<string> {
  const work = await rails.work(direction, 1, 4096, keys)
  assert.equal(rails.ports[1].post(1, work, 0, 1, 0), 1)
  await rails.until(() => rails.notes[1].ends.length === 1)
  assert.equal(rails.ports[1].room(1), 0)
  const { landedReads, landedWrites, ends } = rails.notes[1]
  assert.deepEqual([...landedReads, ...landedWrites], [])
  return ends[0]?.status ?? ""
}

test("tcp: a wrong key, a closed region and bytes behind its end reach nothing, and end the lane", {
  skip,
}, async () => {
  const cases: ((a: Registration) => Promise<{ remote: number; iova: number }>)[] = [
    async (a) => ({ remote: (a.remoteKey ^ 0x55) >>> 0, iova: a.iova }),
    async (a) => ({ remote: a.remoteKey, iova: 4 * mib - 4095 }),
    async (a) => {
      await a.close()
      return { remote: a.remoteKey, iova: a.iova }
    },
  ]
  for (const wrong of cases) {
    const { rails, a, b } = await joined("tcp", both)
    const status = await refusedUnit(rails, "read", { local: b.localKey, ...(await wrong(a)) })
    assert.notEqual(status, "")
    assert.ok(rails.target.view(0, 4 * mib).every((byte) => byte === 0))
    await rails.close()
  }
})

test("tcp: a session's rights are the owner's side's to enforce, and so are a region's", {
  skip,
}, async () => {
  const cases: [Rights, Rights, "read" | "write"][] = [
    [{ read: true, write: false }, both, "write"],
    [{ read: false, write: true }, both, "read"],
    [both, { read: true, write: false }, "write"],
    [both, { read: false, write: true }, "read"],
    [{ read: false, write: false }, both, "read"],
  ]
  for (const [rights, access, direction] of cases) {
    const { rails, a, b } = await joined("tcp", { read: true, write: rights.write }, access)
    rails.target.view(0, 4096).fill(0x77)
    const before = rails.source.view(0, 4096).slice()
    if (rights.read) {
      await refusedUnit(rails, direction, keysOf(a, b))
      assert.deepEqual(rails.source.view(0, 4096), before)
      assert.ok(rails.target.view(0, 4096).every((byte) => byte === 0x77))
    }
    await rails.close()
  }
})

for (const provider of ["tcp", "shm"] as const) {
  test(`${provider}: a lane that was stopped touches nothing more, and another one works`, {
    skip,
  }, async () => {
    const { rails, a, b } = await joined(provider, both)
    const work = await rails.work("read", 64, 65536, keysOf(a, b))
    rails.ports[1].post(1, work, 0, rails.ports[1].room(1), 0)
    rails.ports[1].stop(1)
    rails.target.view(0, 4 * mib).fill(0x11)
    await rails.until(() => rails.notes[1].ends.length === 1)
    assert.equal(rails.notes[1].ends[0], undefined)
    for (let i = 0; i < 50; i++) await rails.until(() => true)
    assert.ok(rails.target.view(0, 4 * mib).every((byte) => byte === 0x11))
    rails.ports[1].detach(1)
    rails.ports[0].stop(1)
    await rails.until(() => rails.notes[0].ends.length === 1)
    rails.ports[0].detach(1)
    const landed = rails.notes[1].landedReads.length

    await rails.join(both, 2)
    rails.ports[1].post(2, work, 0, 64, 0)
    await rails.until(() => rails.notes[1].landedReads.length === landed + 64)
    assert.equal(Buffer.compare(rails.source.view(0, 4 * mib), rails.target.view(0, 4 * mib)), 0)
    await rails.close()
  })
}
