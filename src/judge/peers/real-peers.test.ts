import assert from "node:assert/strict"
import { before, test } from "node:test"
import { progressOn } from "../../terminal/progress.ts"
import { encodePieces } from "../driver/columns.ts"
import { DriverProcess } from "../driver/driver-process.ts"
import type { CacheShape } from "../driver/protocol.ts"
import { parseEngineSpec } from "../engine-spec.ts"
import { type EngineCommand, engineCommand } from "../engines/engine-command.ts"
import { chooseCases } from "../run/choose-cases.ts"
import { exitCodeOf, runVerify } from "../run/run-verify.ts"
import { installPeer } from "./install-peer.ts"
import { parsePeerSpec } from "./peer-spec.ts"

// With KVFERRY_TEST_PEERS=1 the peers are installed first. Else those that are installed are tested, and the rest is skipped.
const wanted = ["nixl==0.6.1", "nixl", "mooncake"]
const install = (process.env["KVFERRY_TEST_PEERS"] ?? "") !== ""
const installMillisMax = 280_000

before(
  async () => {
    if (!install) return
    for (const name of wanted)
      await installPeer(parsePeerSpec(name), { python: "python3", progress: progressOn(process.stderr) })
  },
  { timeout: installMillisMax },
)

const cache: CacheShape = {
  layers: 3,
  blocks: 32,
  blockTokens: 16,
  kvHeads: 4,
  firstHead: 0,
  heads: 4,
  headDim: 64,
  elementBytes: 2,
}
const blockBytes = 16 * 1024
const sourceBlocks = [7, 3, 21]
const targetBlocks = [4, 30, 9]
const poison = 0xee

/** Two drivers that know each other, and the pieces that bring three blocks of each layer from the one to the other. */
class TwoDrivers implements AsyncDisposable {
  readonly source: DriverProcess
  readonly target: DriverProcess

  static async start(engine: EngineCommand): Promise<TwoDrivers> {
    const two = new TwoDrivers(await DriverProcess.start(engine), await DriverProcess.start(engine))
    const { source, target } = two
    const { path } = engine.spec
    const named = path === undefined ? {} : { path }
    const options = { level: "blocks", cache, options: {}, ...named } as const
    await source.open({ name: "prefill", ...options })
    await target.open({ name: "decode", ...options })
    const cards = {
      prefill: await source.ask("invite", { peer: "decode" }),
      decode: await target.ask("invite", { peer: "prefill" }),
    }
    await target.ask("connect", { peer: "prefill", ...cards.prefill })
    await source.ask("connect", { peer: "decode", ...cards.decode })
    for (let layer = 0; layer < cache.layers; layer++) {
      for (let block = 0; block < cache.blocks; block++)
        source.memory[layer]!.view(block * blockBytes, blockBytes).fill(mark(layer, block))
      target.memory[layer]!.view(0, cache.blocks * blockBytes).fill(poison)
    }
    return two
  }

  private constructor(source: DriverProcess, target: DriverProcess) {
    this.source = source
    this.target = target
  }

  async read(): Promise<void> {
    const entries = Array.from({ length: cache.layers }, (_, layer) =>
      sourceBlocks.map((block, i) => ({ layer, from: block, into: targetBlocks[i]! })),
    ).flat()
    const pieces = encodePieces({
      localRegion: Uint32Array.from(entries, ({ layer }) => layer),
      localOffset: Float64Array.from(entries, ({ into }) => into * blockBytes),
      remoteRegion: Uint32Array.from(entries, ({ layer }) => layer),
      remoteOffset: Float64Array.from(entries, ({ from }) => from * blockBytes),
      length: Uint32Array.from(entries, () => blockBytes),
    })
    const asked = { transfer: 1, peer: "prefill", direction: "read", pieces, note: "read it" } as const
    await this.target.ask("prepare", asked)
    await this.target.ask("post", { transfer: 1, timeoutMillis: 10_000 })
    const { state } = await this.target.ask("wait", { transfer: 1, millis: 10_000 })
    assert.equal(state, "done")
  }

  /** What each target block holds in each layer: the mark of a block, or -1 for a mixture. */
  found(): number[][] {
    return this.target.memory.map((region) =>
      targetBlocks.map((block) => {
        const bytes = region.view(block * blockBytes, blockBytes)
        return bytes.every((byte) => byte === bytes[0]) ? bytes[0]! : -1
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.source[Symbol.asyncDispose](), this.target[Symbol.asyncDispose]()])
  }
}

const mark = (layer: number, block: number): number => layer * cache.blocks + block + 1

const right = Array.from({ length: cache.layers }, (_, layer) =>
  sourceBlocks.map((block) => mark(layer, block)),
)

for (const name of ["nixl:UCX", "nixl:LIBFABRIC", "nixl==0.6.1:UCX", "mooncake:tcp"]) {
  test(`${name} brings the blocks that were asked for, and the note`, { timeout: 60_000 }, async (t) => {
    const engine = await engineCommand(parseEngineSpec(name))
    if ("unavailable" in engine) return t.skip(engine.unavailable)
    await using two = await TwoDrivers.start(engine)
    await two.read()
    assert.deepEqual(two.found(), right)
    const until = performance.now() + 5000
    let notes: readonly unknown[] = []
    while (notes.length === 0 && performance.now() < until) ({ notes } = await two.source.ask("notes", {}))
    assert.deepEqual(notes, [{ from: "decode", text: "read it" }])
  })
}

test("nixl==0.6.1:LIBFABRIC says done, and brings the base of the region for every block", {
  timeout: 60_000,
}, async (t) => {
  const engine = await engineCommand(parseEngineSpec("nixl==0.6.1:LIBFABRIC"))
  if ("unavailable" in engine) return t.skip(engine.unavailable)
  await using two = await TwoDrivers.start(engine)
  await two.read()
  const base = Array.from({ length: cache.layers }, (_, layer) => sourceBlocks.map(() => mark(layer, 0)))
  assert.deepEqual(two.found(), base)
})

test("an address that was never registered is refused", { timeout: 60_000 }, async (t) => {
  const engine = await engineCommand(parseEngineSpec("nixl:UCX"))
  if ("unavailable" in engine) return t.skip(engine.unavailable)
  await using two = await TwoDrivers.start(engine)
  const pieces = encodePieces({
    localRegion: Uint32Array.of(0),
    localOffset: Float64Array.of(0),
    remoteRegion: Uint32Array.of(0),
    remoteOffset: Float64Array.of(1e12),
    length: Uint32Array.of(blockBytes),
  })
  const asked = { transfer: 1, peer: "prefill", direction: "read", pieces } as const
  await assert.rejects(two.target.ask("prepare", asked), { kind: "error", code: "NIXL_ERR_NOT_FOUND" })
})

test("an engine that supports none of the cases has passed nothing", { timeout: 60_000 }, async (t) => {
  const spec = parseEngineSpec("nixl:UCX")
  const engine = await engineCommand(spec)
  if ("unavailable" in engine) return t.skip(engine.unavailable)
  const ignored = (): void => {}
  const document = await runVerify(
    {
      engines: [spec],
      asked: true,
      cases: chooseCases(["receipts"], undefined),
      seed: 1,
      effort: "quick",
      failFast: false,
      all: false,
      signal: new AbortController().signal,
    },
    { began: ignored, ended: ignored, wrong: ignored, leftOut: ignored },
  )
  assert.ok(document.engines[0]!.cases.every(({ verdict }) => verdict === "not supported"))
  assert.equal(document.verdict, "failed")
  assert.equal(exitCodeOf(document), 3)
})
