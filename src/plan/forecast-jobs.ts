import type { ForecastJob } from "./forecast.ts"

/** Layers, blocks and bytes of a block: a part of a paged cache that moves. */
export interface LayoutSizes {
  readonly layers: number
  /** Blocks that move in each layer. */
  readonly blocks: number
  readonly blockBytes: number
}

/** The jobs that have a name: those of `kvferry bench record`, and the lab's. */
export const namedJobs: Readonly<Record<string, LayoutSizes>> = {
  kv: { layers: 50, blocks: 128, blockBytes: 65_536 },
  small: { layers: 10, blocks: 2, blockBytes: 65_536 },
  tiny: { layers: 50, blocks: 2000, blockBytes: 4096 },
  lab: { layers: 8, blocks: 128, blockBytes: 65_536 },
}

/** A layout as a job: every block of every layer is a piece. */
export const jobOfLayout = (name: string, { layers, blocks, blockBytes }: LayoutSizes): ForecastJob => ({
  name,
  pieces: layers * blocks,
  bytes: blockBytes,
})
