import { blockBytes, type Job, type PoolShape } from "./job.ts"

/** How much is measured. */
export interface BenchSizes {
  readonly pool: PoolShape
  /** Blocks of 64 KiB that the large job moves in each layer. */
  readonly kvBlocks: number
  /** Blocks of 4 KiB that the job of tiny pieces moves in each layer. */
  readonly tinyBlocks: number
  /** Blocks of 64 KiB in each layer that are moves of their own, at once. */
  readonly crowdBlocks: number
  /** Tickets that are under way at once, each for a block of 16 KiB. Twice as many must fit into a layer. */
  readonly ticketsMax: number
  readonly peersMax: number
  /** Half of its blocks are dealt to the peers. */
  readonly peersPool: PoolShape
  readonly rounds: {
    readonly large: number
    readonly integrity: number
    readonly small: number
    readonly idle: number
  }
  readonly repeats: { readonly small: number; readonly read: number; readonly idle: number }
  readonly curveRepeats: number
  readonly planRepeats: number
  readonly idleSeconds: number
  readonly secondsPerContender: number
}

export const fullSizes: BenchSizes = {
  pool: { layers: 50, blocks: 600 },
  kvBlocks: 128,
  tinyBlocks: 2000,
  crowdBlocks: 20,
  ticketsMax: 1000,
  peersMax: 64,
  peersPool: { layers: 10, blocks: 64 },
  rounds: { large: 11, integrity: 8, small: 15, idle: 5 },
  repeats: { small: 200, read: 1000, idle: 60 },
  curveRepeats: 7,
  planRepeats: 40,
  idleSeconds: 3,
  secondsPerContender: 6,
}

export const quickSizes: BenchSizes = {
  pool: { layers: 10, blocks: 300 },
  kvBlocks: 128,
  tinyBlocks: 2000,
  crowdBlocks: 10,
  ticketsMax: 100,
  peersMax: 16,
  peersPool: { layers: 5, blocks: 32 },
  rounds: { large: 5, integrity: 3, small: 5, idle: 3 },
  repeats: { small: 100, read: 300, idle: 20 },
  curveRepeats: 3,
  planRepeats: 10,
  idleSeconds: 1,
  secondsPerContender: 0.5,
}

/** The jobs of a run, by name; their numbers are their places in `list`. */
export interface BenchJobs {
  readonly list: readonly Job[]
  readonly kv: number
  readonly small: number
  readonly tiny: number
  readonly read: number
  readonly crowd: number
  readonly tickets: number
  readonly attach: number
}

const tinyBytes = 4096
const ticketBytes = 16_384

export function benchJobs({ pool, kvBlocks, tinyBlocks, crowdBlocks, ticketsMax }: BenchSizes): BenchJobs {
  const { layers } = pool
  return {
    list: [
      job(layers, kvBlocks, blockBytes),
      job(Math.min(layers, 10), 2, blockBytes),
      job(layers, tinyBlocks, tinyBytes),
      job(1, 1, tinyBytes),
      job(layers, crowdBlocks, blockBytes),
      job(1, ticketsMax, ticketBytes),
      // Attached only: whatever is lent of it, so its places do not count.
      { ...job(layers, 1, blockBytes), name: "attached blocks" },
    ],
    kv: 0,
    small: 1,
    tiny: 2,
    read: 3,
    crowd: 4,
    tickets: 5,
    attach: 6,
  }
}

/** The one job of the pools of {@link BenchSizes.peersPool}. */
export const peersJob = ({ peersPool: { layers, blocks } }: BenchSizes): Job =>
  job(layers, Math.max(1, Math.floor(blocks / 2)), blockBytes)

const job = (layers: number, blocksPerLayer: number, pieceBytes: number): Job => ({
  name: `${(layers * blocksPerLayer).toLocaleString("en")} × ${pieceBytes / 1024} KiB`,
  layers,
  blocksPerLayer,
  pieceBytes,
})
