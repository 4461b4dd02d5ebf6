/** Two drivers of kvferry as the judge holds them, and what the tests of the driver do with them. */
import assert from "node:assert/strict"
import { encodePieces, type Pieces } from "../driver/columns.ts"
import { DriverProcess } from "../driver/driver-process.ts"
import type { Answers, CacheShape, Level, Questions } from "../driver/protocol.ts"
import { parseEngineSpec } from "../engine-spec.ts"
import { engineCommand } from "../engines/engine-command.ts"

/** Blocks of 1 KiB, 64 of them in each of two layers. */
export const smallCache: CacheShape = {
  layers: 2,
  blocks: 64,
  blockTokens: 4,
  kvHeads: 2,
  firstHead: 0,
  heads: 2,
  headDim: 16,
  elementBytes: 4,
}
export const blockBytes = 1024

/** Starts a driver and opens it. */
export async function openDriver(
  engine: string,
  name: string,
  level: Level,
  more: Partial<Questions["open"]> = {},
): Promise<{ readonly driver: DriverProcess; readonly opened: Answers["open"] }> {
  const spec = parseEngineSpec(engine)
  const command = await engineCommand(spec)
  assert.ok(!("unavailable" in command))
  const driver = await DriverProcess.start(command)
  try {
    const path = spec.path === undefined ? {} : { path: spec.path }
    const opened = await driver.open({ name, level, cache: smallCache, options: {}, ...path, ...more })
    return { driver, opened }
  } catch (thrown) {
    await driver[Symbol.asyncDispose]()
    throw thrown
  }
}

/** Two drivers, `target` connected to `source`. */
export async function openPair(
  engine: string,
  level: Level,
  more: Partial<Questions["open"]> = {},
): Promise<Pair> {
  const source = await openDriver(engine, "source", level, more)
  const target = await openDriver(engine, "target", level, more)
  const { card } = await source.driver.ask("invite", { peer: "target" })
  const { path } = await target.driver.ask("connect", { peer: "source", card })
  return {
    source: source.driver,
    target: target.driver,
    opened: source.opened,
    path,
    async [Symbol.asyncDispose]() {
      await target.driver[Symbol.asyncDispose]()
      await source.driver[Symbol.asyncDispose]()
    },
  }
}

export interface Pair extends AsyncDisposable {
  readonly source: DriverProcess
  readonly target: DriverProcess
  readonly opened: Answers["open"]
  readonly path: string | undefined
}

/** Every word says where it is, in which driver. */
export function fill({ memory }: DriverProcess, seed: number): void {
  for (const [region, span] of memory.entries()) {
    const bytes = span.view(0, span.byteLength)
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
    for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + region * 77_777 + seed, 2654435761)
  }
}

/** Block `from[i]` of each layer against block `to[i]`. */
export function piecesOf(from: readonly number[], to: readonly number[]): Pieces {
  const { layers } = smallCache
  const each = Array.from({ length: layers * from.length }, (_, i) => i)
  const position = (i: number): number => i % from.length
  const layer = (i: number): number => Math.floor(i / from.length)
  return {
    localRegion: Uint32Array.from(each, layer),
    localOffset: Float64Array.from(each, (i) => to[position(i)]! * blockBytes),
    remoteRegion: Uint32Array.from(each, layer),
    remoteOffset: Float64Array.from(each, (i) => from[position(i)]! * blockBytes),
    length: Uint32Array.from(each, () => blockBytes),
  }
}

/** Prepares blocks `remote` of a peer against `local` ones. */
export function transferOf(
  transfer: number,
  peer: string,
  direction: "read" | "write",
  {
    remote,
    local,
    offer = "",
  }: { readonly remote: number[]; readonly local: number[]; readonly offer?: string },
): Questions["prepare"] {
  const sequence = { offer, blocks: local, tokens: local.length * smallCache.blockTokens }
  return { transfer, peer, direction, pieces: encodePieces(piecesOf(remote, local)), sequence }
}

/** Posts a transfer and waits for its end. */
export async function run(driver: DriverProcess, transfer: number): Promise<Answers["wait"]> {
  await driver.ask("post", { transfer, timeoutMillis: 10_000 })
  return driver.ask("wait", { transfer, millis: 10_000 })
}

/** Asserts that blocks `from[i]` of one driver are in blocks `to[i]` of the other, in every layer. */
export function assertMoved(
  source: DriverProcess,
  from: readonly number[],
  target: DriverProcess,
  to: readonly number[],
): void {
  for (const [layer, span] of source.memory.entries()) {
    for (const [i, block] of from.entries()) {
      const expected = span.view(block * blockBytes, blockBytes)
      const found = target.memory[layer]!.view(to[i]! * blockBytes, blockBytes)
      assert.equal(Buffer.compare(expected, found), 0, `layer ${layer}, block ${to[i]}`)
    }
  }
}
