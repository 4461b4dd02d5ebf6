import { planTransfer } from "../plan/plan-transfer.ts"
import { poolLayout, scatteredBlocks } from "./job.ts"
import { type Spread, spreadOf } from "./statistics.ts"

/** How long planning takes. */
export interface PlanResult {
  readonly name: string
  readonly layers: number
  readonly blocks: number
  readonly pieces: number
  readonly micros: Spread
  readonly nanosPerBlockMedian: number
}

const layers = 50

/** Plans scattered blocks, of which no two merge, and blocks in a row, which become one piece a layer. */
export function benchPlans({ repeats }: { readonly repeats: number }): PlanResult[] {
  return [
    measure("scattered", layers, 128, repeats),
    measure("scattered, one layer", 1, 6400, repeats),
    measure("scattered", layers, 2000, Math.ceil(repeats / 4)),
    measure("in a row", layers, 128, repeats),
  ]
}

function measure(name: string, layerCount: number, blocksPerLayer: number, repeats: number): PlanResult {
  const layout = poolLayout(layerCount, blocksPerLayer)
  const regions = Array.from({ length: layerCount }, (_, layer) => layer)
  const row = Uint32Array.from({ length: blocksPerLayer }, (_, i) => i)
  const scattered = name !== "in a row"
  const source = { layout, regions, blocks: scattered ? scatteredBlocks(blocksPerLayer, 7919, 0) : row }
  const target = { layout, regions, blocks: scattered ? scatteredBlocks(blocksPerLayer, 104_729, 1) : row }
  const scope = { to: blocksPerLayer * layout.blockTokens }
  const { pieces } = planTransfer(source, target, scope)
  const micros: number[] = []
  for (let i = -3; i < repeats; i++) {
    const started = performance.now()
    planTransfer(source, target, scope)
    if (i >= 0) micros.push((performance.now() - started) * 1000)
  }
  const spread = spreadOf(micros)
  const blocks = layerCount * blocksPerLayer
  return {
    name,
    layers: layerCount,
    blocks,
    pieces,
    micros: spread,
    nanosPerBlockMedian: (spread.median * 1000) / blocks,
  }
}
