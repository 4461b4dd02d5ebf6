import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import { blocksFor, wholeModelLayout } from "../../kv/kv-layout.ts"
import { KvPool } from "../../memory/kv-pool.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { type Decoded, EngineThread, type Prefilled } from "./engine-thread.ts"

const greedy = { temperature: 0, topP: 1, seed: 0 }
const isKv = (code: string) => (error: unknown) => {
  assert.ok(error instanceof KvError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}

interface Rig extends AsyncDisposable {
  readonly engine: EngineThread
  readonly pool: KvPool
}

async function openRig(blocks = 96): Promise<Rig> {
  const engine = await EngineThread.load({ kind: "random", seed: 11 })
  const pool = new KvPool(wholeModelLayout(engine.model.shape, { blocks }), hostMemory)
  await engine.open(pool.layout, pool.spans)
  return {
    engine,
    pool,
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]()
      pool[Symbol.dispose]()
    },
  }
}

const prompt = (tokens: number, salt: number): Uint32Array =>
  Uint32Array.from({ length: tokens }, (_, i) => (i * 97 + salt * 31) % 320)

interface Answer {
  readonly prefilled: Prefilled
  readonly decoded: Decoded
  readonly heard: number[]
}

/** Runs one request in blocks of its own. */
async function answer(
  { engine, pool }: Rig,
  tokens: Uint32Array,
  maxTokens: number,
  seed: number,
): Promise<Answer> {
  const blocks = pool.allocator.allocate(blocksFor(tokens.length + maxTokens, 16))
  const sampling = { temperature: 1, topP: 0.9, seed }
  const prefilled = await engine.prefill({ tokens, blocks, sampling, evidence: true })
  const heard: number[] = []
  const job = {
    promptTokens: tokens.length,
    blocks,
    firstToken: prefilled.token,
    maxTokens,
    sampling,
    ignoreEnd: true,
    evidence: true,
  }
  const decoded = await engine.decode(job, (index, token) => {
    assert.equal(index, heard.length)
    heard.push(token)
  })
  pool.allocator.release(blocks)
  return { prefilled, decoded, heard }
}

test("a prompt is computed and its answer continued, token by token, to the length that was asked for", async () => {
  await using rig = await openRig()
  const { prefilled, decoded, heard } = await answer(rig, prompt(40, 1), 12, 5)
  assert.equal(decoded.reason, "length")
  assert.equal(decoded.tokens, 12)
  assert.equal(heard.length, 12)
  assert.equal(heard[0], prefilled.token)
  assert.deepEqual(heard.slice(1), [...decoded.drawn])
  assert.equal(prefilled.logits.length, 1)
  assert.equal(decoded.logits.length, 11)
  assert.deepEqual({ ...rig.engine.counters }, { promptTokens: 40, decodeTokens: 11 })
})

test("requests that share the engine get the same tokens and logits as each alone", async () => {
  await using rig = await openRig()
  const requests: [Uint32Array, number, number][] = [
    [prompt(200, 1), 15, 1],
    [prompt(7, 2), 30, 2],
    [prompt(130, 3), 1, 3],
  ]
  const withoutTime = ({ prefilled, decoded, heard }: Answer): unknown => [
    prefilled.logits,
    decoded.logits,
    heard,
  ]
  const alone: unknown[] = []
  for (const request of requests) alone.push(withoutTime(await answer(rig, ...request)))
  const together = await Promise.all(requests.map((request) => answer(rig, ...request)))
  assert.deepEqual(together.map(withoutTime), alone)
})

test("a cancel in mid-prefill is heard before the prompt is done, and the engine goes on working", async () => {
  await using rig = await openRig()
  const expected = await answer(rig, prompt(20, 4), 5, 9)
  const before = rig.engine.counters.promptTokens
  const abort = new AbortController()
  const blocks = rig.pool.allocator.allocate(32)
  const long = rig.engine.prefill(
    { tokens: prompt(512, 1), blocks, sampling: greedy, evidence: false },
    abort.signal,
  )
  abort.abort()
  await assert.rejects(long, isKv("KV_CANCELLED"))
  const again = await answer(rig, prompt(20, 4), 5, 9)
  assert.deepEqual(again.heard, expected.heard)
  const cancelled = rig.engine.counters.promptTokens - before - 20
  assert.ok(cancelled < 512, `${cancelled} of 512 tokens were computed`)
})

test("a cancelled decode stops between two tokens, and leaves its blocks alone from then on", async () => {
  await using rig = await openRig()
  const { engine, pool } = rig
  const blocks = pool.allocator.allocate(32)
  const { token } = await engine.prefill({ tokens: prompt(16, 1), blocks, sampling: greedy, evidence: false })
  const abort = new AbortController()
  const job = {
    promptTokens: 16,
    blocks,
    firstToken: token,
    maxTokens: 490,
    sampling: greedy,
    ignoreEnd: true,
    evidence: false,
  }
  const decoding = engine.decode(job, (index) => index === 3 && abort.abort(), abort.signal)
  await assert.rejects(decoding, isKv("KV_CANCELLED"))
  for (const span of pool.spans) span.view(0, span.byteLength).fill(0xa5)
  await answer(rig, prompt(16, 2), 40, 1)
  for (const span of pool.spans) {
    // The blocks of the cancelled request are still taken: nobody else writes into them.
    const bytes = span.byteLength / pool.layout.blocks
    for (const block of blocks) assert.ok(span.view(block * bytes, bytes).every((byte) => byte === 0xa5))
  }
})

test("a job that was cancelled before it began never begins", async () => {
  await using rig = await openRig()
  const job = { tokens: prompt(16, 1), blocks: Uint32Array.of(0), sampling: greedy, evidence: false }
  await assert.rejects(rig.engine.prefill(job, AbortSignal.abort()), isKv("KV_CANCELLED"))
  assert.equal(rig.engine.counters.promptTokens, 0)
})

test("a job that makes no sense fails alone, with the engine's reason", async () => {
  await using rig = await openRig()
  const job = { tokens: prompt(16, 1), blocks: Uint32Array.of(0), sampling: greedy, evidence: false }
  const wrong: [Partial<typeof job>, string][] = [
    [{ tokens: new Uint32Array(0) }, "KV_PROMPT_INVALID"],
    [{ tokens: Uint32Array.of(320) }, "KV_PROMPT_INVALID"],
    [{ blocks: new Uint32Array(0) }, "KV_REGION_BOUNDS"],
    [{ blocks: Uint32Array.of(96) }, "KV_REGION_BOUNDS"],
  ]
  for (const [change, code] of wrong) {
    await assert.rejects(rig.engine.prefill({ ...job, ...change }), isKv(code))
  }
  assert.equal((await answer(rig, prompt(16, 1), 3, 1)).heard.length, 3)
})

test("closing an engine ends what runs in it, and what is asked of it afterwards", async () => {
  const rig = await openRig()
  const job = {
    tokens: prompt(512, 1),
    blocks: rig.pool.allocator.allocate(32),
    sampling: greedy,
    evidence: false,
  }
  const running = assert.rejects(rig.engine.prefill(job), isKv("KV_WORKER_LOST"))
  await rig[Symbol.asyncDispose]()
  await running
  await assert.rejects(rig.engine.prefill(job), isKv("KV_WORKER_LOST"))
})

test("a folder that holds no model is an error that names it, and leaves no thread behind", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-model-"))
  t.after(() => rmSync(folder, { recursive: true }))
  const source = { kind: "directory", directory: folder } as const
  await assert.rejects(EngineThread.load(source), isKv("KV_MODEL_INVALID"))
  writeFileSync(join(folder, "config.json"), "{ not json")
  await assert.rejects(EngineThread.load(source), isKv("KV_MODEL_INVALID"))
  await assert.rejects(
    EngineThread.load({ kind: "directory", directory: join(folder, "none") }),
    isKv("KV_MODEL_INVALID"),
  )
})

test("a cache that does not fit the model is refused when the engine is opened", async () => {
  const engine = await EngineThread.load({ kind: "random", seed: 1 })
  using pool = new KvPool(wholeModelLayout({ ...engine.model.shape, headDim: 8 }, { blocks: 4 }), hostMemory)
  await assert.rejects(engine.open(pool.layout, pool.spans), isKv("KV_PLAN_IMPOSSIBLE"))
  await engine[Symbol.asyncDispose]()
})
