import { KvError } from "../../errors/kv-error.ts"
import type { IntegrityLevel } from "../../receipt/receipt.ts"
import { type EngineSpec, parseEngineSpec } from "../engine-spec.ts"
import { checkKvferryPath } from "../kvferry-paths.ts"
import type { LoadShape } from "../load-document.ts"
import { type CacheGeometry, geometryOf } from "./cache-geometry.ts"
import type { ModelLoad } from "./model-load.ts"

/** What a user said of a load. What is left out has its default. */
export interface LoadFlags {
  readonly op?: "read" | "write" | undefined
  readonly blockBytes?: number | undefined
  readonly blocks?: number | undefined
  readonly numBlocks?: number | undefined
  readonly numLayers?: number | undefined
  readonly randomBlocks?: boolean | undefined
  readonly seed?: number | undefined
  readonly threads?: number | undefined
  readonly batch?: number | undefined
  readonly duration?: number | undefined
  readonly rounds?: number | undefined
  readonly prefillEngines?: number | undefined
  readonly decodeEngines?: number | undefined
  readonly prefillTp?: number | undefined
  readonly decodeTp?: number | undefined
  readonly strategy?: "pack" | "spread" | undefined
  readonly paths?: readonly string[] | undefined
  readonly devices?: string | undefined
  readonly integrity?: IntegrityLevel | undefined
  readonly engines?: readonly string[] | undefined
  readonly backends?: readonly string[] | undefined
  readonly verbose?: boolean | undefined
  readonly matrix?: boolean | undefined
  readonly model?: ModelLoad | undefined
  /** The other host, where there is one. */
  readonly target?: string | undefined
  /** What a reader of the result should know of how it was asked for. */
  readonly notes?: readonly string[] | undefined
}

/** A load, complete and free of contradictions: what a document tells of it, and what it is made with. */
export interface LoadRequest extends Omit<LoadShape, "integrity" | "model" | "bytes"> {
  readonly geometry: CacheGeometry
  /** Seconds that each engine is timed for, all rounds together. */
  readonly duration: number
  readonly rounds: number
  readonly paths: readonly string[] | undefined
  /** NICs of kvferry, by side. */
  readonly devices: Readonly<Record<"prefill" | "decode", string>> | undefined
  readonly integrity: IntegrityLevel
  readonly engines: readonly EngineSpec[]
  /** True where the ceiling was asked for. */
  readonly memcpy: boolean
  readonly verbose: boolean
  readonly matrix: boolean
  readonly model: ModelLoad | undefined
  readonly target: string | undefined
  /** What was not as it was asked for, and why. */
  readonly notes: readonly string[]
}

/** Blocks 0 and 1 hold no data: 0 is vLLM's null block, and a base address read by mistake shows as what it is. */
export const firstDataBlock = 2
/** The name of the ceiling among the engines. */
const ceilingName = "memcpy"
const numBlocksDefault = 100
/** Words of the pattern have so many bits for a layer. */
const layersMax = 255

/** @throws KvError KV_USAGE for what contradicts itself. */
export function loadRequest(flags: LoadFlags): LoadRequest {
  checkModelFlags(flags)
  const { model } = flags
  const notes = [...(flags.notes ?? [])]
  const prefillTp = flags.prefillTp ?? 1
  const decodeTp = flags.decodeTp ?? 1
  const blockBytes = model?.rank.blockBytes ?? flags.blockBytes ?? 65_536
  const blocks = model?.rank.blocks ?? flags.blocks ?? 10
  const layers = model?.rank.layers ?? flags.numLayers ?? 2
  const geometry = model?.rank.geometry ?? geometryOf(blockBytes, prefillTp, decodeTp)
  if (layers > layersMax) throw contradiction(`${layers} layers`, `at most ${layersMax} can be told apart`)
  if (model !== undefined && model.tp > 1)
    notes.push(`what one of ${model.tp} ranks moves is measured; the others move as much beside it`)

  const prefillEngines = flags.prefillEngines ?? 1
  const decodeEngines = flags.decodeEngines ?? 1
  const pairs = Math.max(prefillEngines, decodeEngines)
  const needed = firstDataBlock + blocks * Math.ceil(pairs / decodeEngines)
  const numBlocks = flags.numBlocks ?? Math.max(numBlocksDefault, needed)
  if (numBlocks < needed) {
    throw contradiction(
      `--num-blocks ${numBlocks} with ${blocks} blocks to move`,
      `a decode engine receives ${needed - firstDataBlock} blocks, and blocks 0 and 1 hold no data`,
      `take --num-blocks ${needed} or more, or fewer --blocks`,
    )
  }
  if (flags.numBlocks === undefined && numBlocks > numBlocksDefault)
    notes.push(`the pool has ${numBlocks} blocks in place of ${numBlocksDefault}: what moves must fit`)

  const threads = flags.threads ?? 1
  if (flags.batch !== undefined && flags.batch > blocks)
    notes.push(`batches have ${blocks} blocks in place of ${flags.batch}: no more move`)
  const batch = Math.min(blocks, flags.batch ?? Math.ceil(blocks / threads))
  const transfers = Math.ceil(blocks / batch)
  if (transfers < threads) {
    throw contradiction(
      `--threads ${threads} for ${transfers} transfer${transfers === 1 ? "" : "s"}`,
      `${blocks} blocks in batches of ${batch} are ${transfers}`,
      batch === 1
        ? `take --threads ${transfers} or fewer, or more --blocks`
        : "take a smaller --batch, or fewer --threads",
    )
  }
  return {
    op: flags.op ?? "read",
    blockBytes,
    geometry,
    blocks,
    numBlocks,
    layers,
    randomBlocks: flags.randomBlocks ?? false,
    seed: flags.seed ?? 42,
    threads,
    batch,
    duration: flags.duration ?? 2,
    rounds: flags.rounds ?? 11,
    prefillEngines,
    decodeEngines,
    prefillTp,
    decodeTp,
    strategy: strategyOf(flags),
    paths: flags.paths,
    devices: flags.devices === undefined ? undefined : { prefill: flags.devices, decode: flags.devices },
    integrity: flags.integrity ?? "epoch",
    ...enginesOf(flags),
    verbose: flags.verbose ?? false,
    matrix: flags.matrix ?? false,
    model,
    target: flags.target,
    notes,
  }
}

function checkModelFlags({ model, blockBytes, blocks, numLayers, prefillTp, decodeTp }: LoadFlags): void {
  if (model === undefined) return
  const given = { "--block-size": blockBytes, "--blocks": blocks, "--num-layers": numLayers }
  const twice = Object.entries(given).find(([, value]) => value !== undefined)?.[0]
  if (twice !== undefined)
    throw contradiction(
      `--model and ${twice}`,
      "a model decides the sizes, and --isl the number of blocks",
      "leave out one of them",
    )
  if (prefillTp !== undefined || decodeTp !== undefined)
    throw contradiction(
      `--model with --prefill-tp or --decode-tp`,
      "with --model, --tp says how it is split, and one rank is measured",
      "use --tp alone",
    )
}

/** Who is judged: at most one name each, in the order of the user. */
function enginesOf({ engines, backends, paths }: LoadFlags): Pick<LoadRequest, "engines" | "memcpy"> {
  if (engines !== undefined && backends !== undefined)
    throw contradiction(
      "--engines and --backends",
      "--backends UCX is --engines kvferry,nixl:UCX,memcpy",
      "leave out one of them",
    )
  const asked = engines ?? ["kvferry", ...(backends ?? []).map((backend) => `nixl:${backend}`), ceilingName]
  const isCeiling = (name: string): boolean => name.toLowerCase() === ceilingName
  const specs = asked.filter((name) => !isCeiling(name)).map(parseEngineSpec)
  const named = [...specs.map(({ name }) => name), ...asked.filter(isCeiling).map(() => ceilingName)]
  const twice = named.find((name, i) => named.indexOf(name) < i)
  if (twice !== undefined) {
    throw new KvError("KV_USAGE", {
      what: `${twice} was named twice in ${engines === undefined ? "--backends" : "--engines"}`,
      why: "each is measured once",
      next: "name it once",
    })
  }
  if (specs.length === 0)
    throw new KvError("KV_USAGE", {
      what: "--engines names no engine",
      why: `${ceilingName} is the ceiling that engines are held against`,
      next: "name kvferry, nixl:UCX or mooncake:tcp, say",
    })
  if (paths !== undefined && !specs.some(({ family, path }) => family === "kvferry" && path === undefined)) {
    throw contradiction(
      "--paths without an engine that it is for",
      "it is for kvferry without a path of its own (not for kvferry:tcp)",
      "add kvferry to --engines, or leave out --paths",
    )
  }
  for (const path of paths ?? []) checkKvferryPath(path, `--paths ${paths?.join()}`)
  return { engines: specs, memcpy: named.includes(ceilingName) }
}

function strategyOf({ strategy, target }: LoadFlags): "pack" | "spread" {
  if (target === undefined && strategy === "spread") {
    throw new KvError("KV_USAGE", {
      what: "--strategy spread needs a second host",
      why: "both sides of this command run here",
      next: "run kvferry bench target --host ADDRESS there, and kvferry bench initiator --target ADDRESS here",
    })
  }
  const local = target === undefined || /^(127\.|localhost:|\[::1\])/.test(target)
  if (strategy === "pack" && !local)
    throw contradiction(
      "--strategy pack with a target on another host",
      "pack means one machine",
      "leave out --strategy",
    )
  return local ? "pack" : "spread"
}

const contradiction = (what: string, why: string, next?: string): KvError =>
  new KvError("KV_USAGE", {
    what: `${what}: that does not go together`,
    why,
    ...(next === undefined ? {} : { next }),
  })
