import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { Plain } from "../rdma/driver.ts"
import { noLibfabric, TwoRails } from "./two-rails.test.kit.ts"

const skip = noLibfabric()
const rights = { read: true, write: false }

for (const provider of ["tcp", "shm"] as const) {
  test(`${provider}: an end of a lane that makes no sense is refused, before libfabric sees it`, {
    skip,
  }, async () => {
    const rails = new TwoRails(provider, 2 ** 20)
    const good = await rails.rails[0].openLane(rights)
    rails.lanes.push(good)
    const hostile: Plain[] = [
      {},
      { ...good.end, provider: "sockets" },
      { ...good.end, provider: 5 },
      { ...good.end, address: "" },
      { ...good.end, address: "zz" },
      { ...good.end, address: "abc" },
      { ...good.end, address: "ff".repeat(600) },
      { ...good.end, address: String(good.end["address"]).slice(0, -4) },
      { ...good.end, address: `ffff${String(good.end["address"]).slice(4)}` },
      { ...good.end, probeKey: -1 },
      { ...good.end, probeKey: 2 ** 32 },
      { ...good.end, probeAddress: 0.5 },
      { ...good.end, valueLow: Number.NaN },
      { ...good.end, valueHigh: "1" },
    ]
    for (const end of hostile) {
      const lane = await rails.rails[1].openLane({ read: false, write: false })
      await assert.rejects(
        lane.connect(end),
        (error: unknown) => error instanceof KvError && error.code === "KV_PEER_REFUSED",
        JSON.stringify(end).slice(0, 200),
      )
      await lane.close()
    }
    await rails.close()
  })
}

test("shm: a process whose memory the kernel does not let us copy is not reached", { skip }, async () => {
  const rails = new TwoRails("shm", 2 ** 20)
  const good = await rails.rails[0].openLane(rights)
  rails.lanes.push(good)
  const wrong: Plain[] = [
    { ...good.end, pid: 2 ** 22 + 1 },
    { ...good.end, pid: -1 },
    { ...good.end, pageAddress: 4096 },
    { ...good.end, valueLow: (Number(good.end["valueLow"]) ^ 1) >>> 0 },
  ]
  for (const end of wrong) {
    const lane = await rails.rails[1].openLane({ read: false, write: false })
    await assert.rejects(
      lane.connect(end),
      (error: unknown) => error instanceof KvError && error.code === "KV_PEER_UNREACHABLE",
      JSON.stringify(end).slice(0, 200),
    )
    await lane.close()
  }
  await rails.close()
})
