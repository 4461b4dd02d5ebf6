import { KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout, kvStrides } from "../kv/kv-layout.ts"
import { PlanBuilder, type TransferPlan } from "./transfer-plan.ts"

/** One side of a transfer: how it stores the cache, and which blocks hold the sequence. */
export interface PlanSide {
  readonly layout: KvLayout
  /** `regions[l]` is the region of layer l. */
  readonly regions: readonly number[]
  /** The block at position p holds tokens `[p * blockTokens, (p + 1) * blockTokens)`. */
  readonly blocks: Uint32Array
}

/** Which part of a sequence moves: tokens `[from, to)`, and layers `[firstLayer, firstLayer + layers)`. */
export interface PlanScope {
  readonly from?: number
  readonly to: number
  readonly firstLayer?: number
  readonly layers?: number
}

/**
 * Says which bytes of the source's blocks land where in the target's blocks.
 *
 * Only rows of tokens in scope move, and only heads that both sides hold; the rest of a last block is left alone.
 * Order, block size and head range may differ: the pieces are the longest runs that are contiguous on both sides,
 * and adjacent pieces are one. All pieces are on rail 0; `stripe()` deals them out.
 *
 * @throws KvError KV_PLAN_IMPOSSIBLE with the rule that forbids it.
 */
export function planTransfer(source: PlanSide, target: PlanSide, scope: PlanScope): TransferPlan {
  const from = scope.from ?? 0
  const firstLayer = scope.firstLayer ?? 0
  const layers = scope.layers ?? source.layout.shape.layers - firstLayer
  checkShapes(source.layout, target.layout)
  checkScope(from, scope.to, firstLayer, layers, source.layout.shape.layers)
  checkSide("source", source, scope.to)
  checkSide("target", target, scope.to)
  checkNoOverlap(target, from, scope.to)

  const runs = tokenRuns(source.layout.blockTokens, target.layout.blockTokens, from, scope.to)
  const shapes = new Map<number, PieceShape[]>()
  for (const { tokens } of runs) {
    if (!shapes.has(tokens)) shapes.set(tokens, pieceShapes(source.layout, target.layout, tokens))
  }
  const perRun = Math.max(0, ...[...shapes.values()].map((list) => list.length))
  const builder = new PlanBuilder(Math.min(runs.length * perRun * layers, 2 ** 22))
  const [from_, to_] = [kvStrides(source.layout), kvStrides(target.layout)]

  for (let layer = firstLayer; layer < firstLayer + layers; layer++) {
    const sourceRegion = source.regions[layer]!
    const targetRegion = target.regions[layer]!
    for (const run of runs) {
      const sourceBase = source.blocks[run.sourcePosition]! * from_.block + run.sourceSlot * from_.token
      const targetBase = target.blocks[run.targetPosition]! * to_.block + run.targetSlot * to_.token
      for (const { sourceOffset, targetOffset, length } of shapes.get(run.tokens)!) {
        builder.add(
          sourceRegion,
          sourceBase + sourceOffset,
          targetRegion,
          targetBase + targetOffset,
          length,
          0,
        )
      }
    }
  }
  return builder.finish()
}

/** Tokens that lie in one block on each side. */
interface TokenRun {
  readonly sourcePosition: number
  readonly sourceSlot: number
  readonly targetPosition: number
  readonly targetSlot: number
  readonly tokens: number
}

function tokenRuns(sourceTokens: number, targetTokens: number, from: number, to: number): TokenRun[] {
  const runs: TokenRun[] = []
  for (let token = from; token < to; ) {
    const sourceSlot = token % sourceTokens
    const targetSlot = token % targetTokens
    const tokens = Math.min(sourceTokens - sourceSlot, targetTokens - targetSlot, to - token)
    runs.push({
      sourcePosition: Math.floor(token / sourceTokens),
      sourceSlot,
      targetPosition: Math.floor(token / targetTokens),
      targetSlot,
      tokens,
    })
    token += tokens
  }
  return runs
}

/** A contiguous run inside one token run, relative to the run's start in its block. */
interface PieceShape {
  readonly sourceOffset: number
  readonly targetOffset: number
  readonly length: number
}

/**
 * The contiguous runs of `tokens` tokens of the common heads.
 *
 * Plane, head and token are walked in the target's order; a dimension whose step equals the run so far on both
 * sides makes the run longer, so two equal layouts end up with one piece for a whole block.
 */
function pieceShapes(source: KvLayout, target: KvLayout, tokens: number): PieceShape[] {
  const s = kvStrides(source)
  const t = kvStrides(target)
  const firstHead = Math.max(source.firstHead, target.firstHead)
  const heads = Math.min(source.firstHead + source.heads, target.firstHead + target.heads) - firstHead
  const base = {
    source: (firstHead - source.firstHead) * s.head,
    target: (firstHead - target.firstHead) * t.head,
  }
  const dimensions = [
    { count: tokens, source: s.token, target: t.token },
    { count: heads, source: s.head, target: t.head },
    { count: 2, source: s.plane, target: t.plane },
  ].sort((a, b) => a.target - b.target)

  let length = s.row
  let merging = true
  let offsets: PieceShape[] = [{ sourceOffset: base.source, targetOffset: base.target, length }]
  for (const dimension of dimensions) {
    merging &&= dimension.count === 1 || (dimension.source === length && dimension.target === length)
    if (merging) {
      length *= dimension.count
      continue
    }
    const inner = offsets
    offsets = []
    for (let i = 0; i < dimension.count; i++) {
      for (const piece of inner) {
        offsets.push({
          sourceOffset: piece.sourceOffset + i * dimension.source,
          targetOffset: piece.targetOffset + i * dimension.target,
          length,
        })
      }
    }
  }
  return offsets.map((piece) => ({ ...piece, length }))
}

function checkShapes(source: KvLayout, target: KvLayout): void {
  for (const name of ["layers", "kvHeads", "headDim", "elementBytes"] as const) {
    if (source.shape[name] !== target.shape[name]) {
      throw impossible(
        `the source has ${name} ${source.shape[name]}, the target ${target.shape[name]}`,
        "both sides must hold the cache of one model",
      )
    }
  }
  const common =
    Math.min(source.firstHead + source.heads, target.firstHead + target.heads) -
    Math.max(source.firstHead, target.firstHead)
  if (common < 1) {
    throw impossible(
      `the source holds heads ${headRange(source)}, the target heads ${headRange(target)}`,
      "they have no head in common",
    )
  }
}

function checkScope(from: number, to: number, firstLayer: number, layers: number, modelLayers: number): void {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to < from) {
    throw impossible(
      `tokens ${from} to ${to} were asked for`,
      "a range of tokens goes upwards from 0 or more",
    )
  }
  if (firstLayer < 0 || layers < 0 || firstLayer + layers > modelLayers) {
    throw impossible(
      `layers ${firstLayer} to ${firstLayer + layers - 1} were asked for`,
      `the model has ${modelLayers} layers`,
    )
  }
}

function checkSide(name: string, side: PlanSide, tokens: number): void {
  const { layout, blocks, regions } = side
  const needed = blocksFor(tokens, layout.blockTokens)
  if (blocks.length < needed) {
    throw impossible(
      `the ${name} has ${blocks.length} blocks for ${tokens} tokens`,
      `at ${layout.blockTokens} tokens a block it needs ${needed}`,
    )
  }
  if (regions.length !== layout.shape.layers) {
    throw impossible(
      `the ${name} has ${regions.length} regions for ${layout.shape.layers} layers`,
      "each layer has one region",
    )
  }
  for (let position = 0; position < needed; position++) {
    if (blocks[position]! >= layout.blocks) {
      throw impossible(
        `the ${name}'s block table names block ${blocks[position]} at position ${position}`,
        `its pool has ${layout.blocks} blocks`,
      )
    }
  }
}

function checkNoOverlap(target: PlanSide, from: number, to: number): void {
  const seen = new Uint8Array(target.layout.blocks)
  const first = Math.floor(from / target.layout.blockTokens)
  for (let position = first; position < blocksFor(to, target.layout.blockTokens); position++) {
    const block = target.blocks[position]!
    if (seen[block] === 1) {
      throw impossible(
        `the target's block table names block ${block} twice`,
        "two positions would be written to one place",
      )
    }
    seen[block] = 1
  }
}

const headRange = (layout: KvLayout): string =>
  `${layout.firstHead} to ${layout.firstHead + layout.heads - 1}`

function impossible(what: string, why: string): KvError {
  return new KvError("KV_PLAN_IMPOSSIBLE", {
    what: `this transfer cannot be planned: ${what}`,
    why,
    next: "compare the two agents' cards (model, layout, block tables)",
  })
}
