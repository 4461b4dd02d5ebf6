import { type KvLayout, wholeModelLayout } from "../kv/kv-layout.ts"
import { planTransfer } from "../plan/plan-transfer.ts"
import type { TransferPlan } from "../plan/transfer-plan.ts"
import { pickedBlocks } from "./picked-blocks.ts"

/** A transfer to be measured, small enough to be told to another process: both make the same plan of it. */
export interface Job {
  readonly name: string
  readonly layers: number
  /** Blocks that move in each layer; the same block numbers in every layer, as a paged cache has it. */
  readonly blocksPerLayer: number
  /** 64 KiB, or a size that divides it: the pool is then seen as one of smaller blocks. */
  readonly pieceBytes: number
}

/** The pools that all jobs of a phase share: one region for each layer. */
export interface PoolShape {
  readonly layers: number
  /** Blocks of 64 KiB in each layer. */
  readonly blocks: number
}

/** A block of 64 KiB: 16 tokens of 8 heads of 128 numbers in bf16, as one layer of an 8B model has them. */
export const blockBytes = 65_536
const kvHeads = 8
const headDim = 128
const elementBytes = 2
const tokenBytes = 2 * kvHeads * headDim * elementBytes

/** Where a job's random blocks come from. Another one gives other places, and the same work. */
const seed = 42

export const jobPieces = (job: Job): number => job.layers * job.blocksPerLayer
export const jobBytes = (job: Job): number => jobPieces(job) * job.pieceBytes
export const poolBytes = ({ layers, blocks }: PoolShape): number => layers * blocks * blockBytes

/** The pool as blocks of `pieceBytes`. */
export function poolLayout({ layers, blocks }: PoolShape, pieceBytes: number = blockBytes): KvLayout {
  const count = (blocks * blockBytes) / pieceBytes
  const shape = { layers, kvHeads, headDim, elementBytes }
  return wholeModelLayout(shape, { blocks: count, blockTokens: pieceBytes / tokenBytes })
}

/**
 * The plan of a job: random blocks of the source to other random blocks of the target, so that hardly two pieces are
 * neighbours on both sides. No block number is both a source and a target.
 */
export function jobPlan(job: Job, pool: PoolShape): TransferPlan {
  const layout = poolLayout(pool, job.pieceBytes)
  const regions = Array.from({ length: layout.shape.layers }, (_, layer) => layer)
  const { sources, targets } = jobBlocks(job, pool)
  const scope = { to: job.blocksPerLayer * layout.blockTokens, layers: job.layers }
  return planTransfer({ layout, regions, blocks: sources }, { layout, regions, blocks: targets }, scope)
}

/** The block tables of a job on either side. */
export function jobBlocks(
  job: Job,
  pool: PoolShape,
): { readonly sources: Uint32Array; readonly targets: Uint32Array } {
  const count = job.blocksPerLayer
  const picked = pickedBlocks(poolLayout(pool, job.pieceBytes).blocks, 2 * count, seed)
  return { sources: picked.slice(0, count), targets: picked.slice(count) }
}
