import { type KvLayout, kvStrides, wholeModelLayout } from "../kv/kv-layout.ts"
import { planTransfer } from "../plan/plan-transfer.ts"
import { PlanBuilder, type TransferPlan } from "../plan/transfer-plan.ts"

/** A transfer to be measured, small enough to be told to another process: both make the same plan of it. */
export interface Job {
  readonly name: string
  readonly layers: number
  readonly blocksPerLayer: number
  /** At most a block: one piece is the front of one block. */
  readonly pieceBytes: number
}

/** Scattered blocks of 64 KiB: 16 tokens of 8 heads of 128 numbers in bf16, as one layer of an 8B model has them. */
export const blockShape = { kvHeads: 8, headDim: 128, elementBytes: 2 } as const
const blockTokens = 16

export const jobPieces = (job: Job): number => job.layers * job.blocksPerLayer
export const jobBytes = (job: Job): number => jobPieces(job) * job.pieceBytes

/** A pool in which every job of up to `layers` layers and `blocksPerLayer` blocks finds a place. */
export function poolLayout(layers: number, blocksPerLayer: number): KvLayout {
  return wholeModelLayout({ layers, ...blockShape }, { blocks: 2 * blocksPerLayer, blockTokens })
}

/**
 * The plan of a job: source blocks have even numbers and target blocks odd ones, each in an order of its own,
 * so that no two pieces are neighbours on either side.
 */
export function jobPlan(job: Job, layout: KvLayout): TransferPlan {
  const regions = Array.from({ length: layout.shape.layers }, (_, layer) => layer)
  const source = { layout, regions, blocks: scatteredBlocks(job.blocksPerLayer, 7919, 0) }
  const target = { layout, regions, blocks: scatteredBlocks(job.blocksPerLayer, 104_729, 1) }
  const scope = { to: job.blocksPerLayer * blockTokens, layers: job.layers }
  return fronts(planTransfer(source, target, scope), job.pieceBytes, kvStrides(layout).block)
}

/** The target's block table of a job, for hashing what came. */
export const jobTargetBlocks = (job: Job): Uint32Array => scatteredBlocks(job.blocksPerLayer, 104_729, 1)

/** Tokens that the blocks of a job hold. */
export const jobTokens = (job: Job): number => job.blocksPerLayer * blockTokens

/** The numbers `2 * i + odd` for i below `count`, each once, far from its neighbours. `step` is a prime above `count`. */
export function scatteredBlocks(count: number, step: number, odd: 0 | 1): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => 2 * ((i * step) % count) + odd)
}

function fronts(plan: TransferPlan, pieceBytes: number, blockBytes: number): TransferPlan {
  if (pieceBytes === blockBytes) return plan
  const builder = new PlanBuilder(plan.pieces)
  for (let i = 0; i < plan.pieces; i++) {
    const [from, to] = [plan.sourceRegion[i]!, plan.targetRegion[i]!]
    builder.add(from, plan.sourceOffset[i]!, to, plan.targetOffset[i]!, pieceBytes, 0)
  }
  return builder.finish()
}
