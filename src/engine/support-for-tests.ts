import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { KvCache, KvSequence } from "../kv/kv-cache.ts"
import { blocksFor, type KvOrder, kvStrides, layerBytes, wholeModelLayout } from "../kv/kv-layout.ts"
import type { ModelInfo } from "./engine.ts"

/** A path inside the repository, also when the code that asks runs from a build folder. */
export function repositoryPath(...parts: readonly string[]): string {
  for (
    let folder = dirname(fileURLToPath(import.meta.url));
    folder !== dirname(folder);
    folder = dirname(folder)
  ) {
    if (existsSync(join(folder, "package.json"))) return join(folder, ...parts)
  }
  throw new Error(`no package.json above ${import.meta.url}`)
}

/** The folder of one fixture, made by `tools/fixtures/make-llama-fixtures.py`. */
export function fixturePath(name: string): string {
  return repositoryPath("src", "engine", "fixtures", name)
}

/** An empty folder that disappears with the test. */
export function temporaryFolder(t: { after(done: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-engine-"))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** How a test's cache differs from head-major blocks of 16 tokens. */
export interface TestCacheOptions {
  readonly order?: KvOrder
  readonly blockTokens?: number
  /** What the cache holds before anything is stored. */
  readonly fill?: number
}

/** A cache in ordinary memory with room for one full sequence of `model` and 7 more blocks. */
export function testCache(model: ModelInfo, options: TestCacheOptions = {}): KvCache {
  const blockTokens = options.blockTokens ?? 16
  const layout = wholeModelLayout(model.shape, {
    blocks: blocksFor(model.contextTokens, blockTokens) + 7,
    blockTokens,
    order: options.order ?? "head-major",
  })
  const layers = Array.from({ length: model.shape.layers }, () =>
    new Float32Array(layerBytes(layout) / 4).fill(options.fill ?? 0),
  )
  return { layout, layers }
}

/** An empty sequence over all blocks of `cache`: in order, or scattered over the whole of it. */
export function testSequence({ layout }: KvCache, scattered = false): KvSequence {
  const blocks = Uint32Array.from({ length: layout.blocks }, (_, index) => index)
  const place = (block: number): number => (scattered ? (block * 2_654_435_761) % 2 ** 32 : block)
  return { blocks: blocks.sort((a, b) => place(a) - place(b)), tokens: 0 }
}

/** The keys and values of one layer's stored tokens, `[2][heads][tokens][headDim]`, whatever the cache's order. */
export function storedRows(
  { layout, layers }: KvCache,
  layer: number,
  { blocks, tokens }: KvSequence,
): Float32Array {
  const strides = kvStrides(layout)
  const { headDim } = layout.shape
  const rows = new Float32Array(2 * layout.heads * tokens * headDim)
  for (let plane = 0, target = 0; plane < 2; plane++) {
    for (let head = 0; head < layout.heads; head++) {
      for (let token = 0; token < tokens; token++, target += headDim) {
        const block = blocks[Math.floor(token / layout.blockTokens)]!
        const inBlock = token % layout.blockTokens
        const start =
          (block * strides.block + plane * strides.plane + head * strides.head + inBlock * strides.token) / 4
        rows.set(layers[layer]!.subarray(start, start + headDim), target)
      }
    }
  }
  return rows
}

/** A prompt of `length` tokens that look random. */
export function testTokens(length: number, vocabSize: number, seed = 1): Uint32Array {
  return Uint32Array.from({ length }, (_, index) => ((index + seed) * 2_654_435_761) % vocabSize)
}
