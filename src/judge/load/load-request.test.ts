import assert from "node:assert/strict"
import { test } from "node:test"
import { type LoadFlags, loadRequest } from "./load-request.ts"
import { modelLoad } from "./model-load.ts"

const model = modelLoad({ model: "llama-3.1-70b", tokens: 4096, tp: 8, blockTokens: 16, elementBytes: 2 })
const refused = (flags: LoadFlags, words: RegExp): void => assert.throws(() => loadRequest(flags), words)

test("nothing said is ten blocks of 64 KiB in two layers, out of 100, with seed 42", () => {
  const {
    blocks,
    numBlocks,
    layers,
    seed,
    blockBytes,
    prefillTp,
    decodeTp,
    randomBlocks,
    engines,
    memcpy,
    op,
  } = loadRequest({})
  assert.deepEqual(
    { blocks, numBlocks, layers, seed, blockBytes, prefillTp, decodeTp, randomBlocks, op },
    {
      blocks: 10,
      numBlocks: 100,
      layers: 2,
      seed: 42,
      blockBytes: 65_536,
      prefillTp: 1,
      decodeTp: 1,
      randomBlocks: false,
      op: "read",
    },
  )
  assert.deepEqual(
    engines.map(({ name }) => name),
    ["kvferry"],
  )
  assert.equal(memcpy, true)
})

test("--backends are NIXL's, beside kvferry and the ceiling", () => {
  const { engines } = loadRequest({ backends: ["UCX", "LIBFABRIC"] })
  assert.deepEqual(
    engines.map(({ name }) => name),
    ["kvferry", "nixl:UCX", "nixl:LIBFABRIC"],
  )
})

test("names and paths may be in any case, and come out as their engine spells them", () => {
  const { engines, memcpy } = loadRequest({
    engines: ["KVFERRY:TCP", "Nixl:ucx", "NIXL==0.6.1:LibFabric", "mooncake:TCP", "MemCpy"],
  })
  assert.deepEqual(
    engines.map(({ name, path }) => [name, path]),
    [
      ["kvferry:tcp", "tcp"],
      ["nixl:UCX", "UCX"],
      ["nixl==0.6.1:LIBFABRIC", "LIBFABRIC"],
      ["mooncake:tcp", "tcp"],
    ],
  )
  assert.equal(memcpy, true)
})

test("a model decides the sizes of one rank", () => {
  const { blockBytes, blocks, layers, numBlocks, notes } = loadRequest({ model })
  assert.deepEqual([blockBytes, blocks, layers], [8192, 256, 80])
  assert.ok(numBlocks >= blocks + 2)
  assert.match(notes.join("\n"), /one of 8 ranks/)
})

test("what contradicts itself is refused, with the way out", () => {
  refused({ model, blockBytes: 4096 }, /--model and --block-size/)
  refused({ model, decodeTp: 2 }, /--tp alone/)
  refused({ engines: ["kvferry"], backends: ["UCX"] }, /--engines and --backends/)
  refused({ engines: ["kvferry", "kvferry"] }, /twice/)
  refused({ engines: ["nixl:UCX", "NIXL:ucx"] }, /nixl:UCX was named twice in --engines/)
  refused({ backends: ["UCX", "ucx"] }, /nixl:UCX was named twice in --backends/)
  refused({ engines: ["memcpy", "MEMCPY", "kvferry"] }, /memcpy was named twice/)
  refused({ engines: ["memcpy"] }, /names no engine/)
  refused({ engines: ["kvfairy"] }, /is no engine/)
  refused({ engines: ["kvferry:tcp"], paths: ["shm"] }, /--paths without an engine/)
  refused({ blocks: 128, numBlocks: 100 }, /take --num-blocks 130 or more/)
  refused({ threads: 4, batch: 10 }, /smaller --batch/)
  refused({ threads: 11 }, /take --threads 10 or fewer, or more --blocks/)
  refused({ engines: ["kvferry:pigeon"] }, /"kvferry:pigeon": kvferry has no path "pigeon"/)
  refused({ paths: ["shm", "pigeon"] }, /"--paths shm,pigeon": kvferry has no path "pigeon"/)
  refused({ paths: [""] }, /kvferry has no path ""/)
  refused({ strategy: "spread" }, /bench target/)
  refused({ strategy: "pack", target: "192.0.2.1:15428" }, /pack means one machine/)
  refused({ numLayers: 256 }, /at most 255/)
})

test("more blocks than the default pool has make it larger, and that is said", () => {
  const { numBlocks, notes } = loadRequest({ blocks: 128 })
  assert.equal(numBlocks, 130)
  assert.match(notes.join("\n"), /130 blocks in place of 100/)
})

test("threads share the blocks unless a batch is named", () => {
  assert.equal(loadRequest({ threads: 4 }).batch, 3)
  assert.equal(loadRequest({ batch: 5 }).batch, 5)
  const { batch, notes } = loadRequest({ batch: 500 })
  assert.equal(batch, 10)
  assert.match(notes.join("\n"), /10 blocks in place of 500/)
})
