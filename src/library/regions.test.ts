import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import { layerBytes, wholeModelLayout } from "../kv/kv-layout.ts"
import { type AgentOptions, openAgent } from "./open-agent.ts"

const layout = wholeModelLayout({ layers: 3, kvHeads: 2, headDim: 8, elementBytes: 4 }, { blocks: 16 })
const credentials = { secret: randomBytes(32) }
const open = (options: AgentOptions = {}) => openAgent({ credentials, ...options })
const ownMemory = (): Uint8Array[] =>
  Array.from({ length: 3 }, () => new Uint8Array(new SharedArrayBuffer(layerBytes(layout))))

const isKv = (code: string) => (error: unknown) => error instanceof KvError && error.code === code

for (const paths of [["shm", "cma", "tcp"], ["tcp"]]) {
  test(`memory of the caller's own is lent and filled, over the best of ${paths} that carries it`, async () => {
    const regions = { source: ownMemory(), target: ownMemory() }
    for (const region of regions.source) region.set(randomBytes(region.byteLength))
    const warnings: string[] = []
    await using prefill = await open({ paths, onWarning: (text) => void warnings.push(text) })
    await using decode = await open({ paths })
    const source = await prefill.registerCache({ layout, regions: regions.source })
    const target = await decode.registerCache({ layout, regions: regions.target })
    const blocks = source.allocate(100)
    const lent = source.lend(blocks, { tokens: 100 })
    const peer = await target.connect(source.address)
    const into = target.allocate(100)
    const receipt = await target.read(peer, { lease: lent.id, into, integrity: "full" }).done
    assert.equal(receipt.integrity.verdict, "identical")
    assert.equal(
      receipt.path.transport,
      paths.find((path) => path !== "shm"),
    )
    const blockBytes = layerBytes(layout) / layout.blocks
    regions.source.forEach((region, layer) => {
      const [from, to] = [blocks[2]! * blockBytes, into[2]! * blockBytes]
      const sent = region.slice(from, from + blockBytes)
      assert.deepEqual(regions.target[layer]!.slice(to, to + blockBytes), sent)
      assert.deepEqual(new Uint8Array(target.view(layer, into[2]!)), sent)
    })
    assert.equal(warnings.length, paths.includes("shm") ? 1 : 0)
    if (paths.includes("shm")) {
      assert.match(warnings[0]!, /the path shm is not used: region 0 cannot be carried by shm; why: .*memfd/)
      assert.match(receipt.path.why, /shm: not open on this side: region 0 cannot be carried by shm/)
    }
  })
}

test("memory that could be taken away, or that does not fit the layout, is refused", async () => {
  const short = ownMemory()
  short[1] = short[1]!.subarray(1)
  const movable = ownMemory()
  movable[2] = new Uint8Array(layerBytes(layout))
  for (const regions of [short, movable, ownMemory().slice(1)]) {
    await using agent = await open()
    await assert.rejects(agent.registerCache({ layout, regions }), isKv("KV_USAGE"))
    await agent.registerCache({ layout, regions: ownMemory() })
  }
})

test("a required path that cannot carry the memory is a refusal", async () => {
  await using agent = await open({ require: ["shm"] })
  const refused = agent.registerCache({ layout, regions: ownMemory() })
  await assert.rejects(refused, isKv("KV_TRANSPORT_UNAVAILABLE"))
  await agent.registerCache({ layout })
})
