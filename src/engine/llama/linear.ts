import type { Kernels } from "../kernels/kernels.ts"
import { panelWidth } from "../kernels/product.ts"
import type { Arena, ArenaPlan } from "./arena.ts"
import type { LinearWeights } from "./weights.ts"

/** A linear layer in kernel memory: panels of eight outputs, each `[inputs][8]`. */
export interface PackedLinear {
  readonly address: number
  /** Address of `width` biases; absent without a bias. */
  readonly bias?: number
  readonly inputs: number
  readonly panels: number
  /** Numbers in one row of outputs: `outputs` rounded up to whole panels. */
  readonly width: number
}

/** Reserves room for a linear layer. */
export function reserveLinear(plan: ArenaPlan, source: LinearWeights): PackedLinear {
  const panels = Math.ceil(source.outputs / panelWidth)
  const width = panels * panelWidth
  const address = plan.reserve(width * source.inputs)
  const bias = source.bias === undefined ? {} : { bias: plan.reserve(width) }
  return { address, ...bias, inputs: source.inputs, panels, width }
}

/** Copies a layer's weights into their panels. Outputs that fill up the last panel stay 0. */
export function packLinear(arena: Arena, packed: PackedLinear, source: LinearWeights): void {
  const { inputs, outputs, weight, bias } = source
  const { floats } = arena
  for (let output = 0; output < outputs; output++) {
    const lane = output % panelWidth
    const target = packed.address / 4 + (output - lane) * inputs + lane
    const row = output * inputs
    for (let input = 0; input < inputs; input++) floats[target + input * panelWidth] = weight[row + input]!
  }
  if (bias !== undefined && packed.bias !== undefined) floats.set(bias, packed.bias / 4)
}

/**
 * `out[r] = weight * x[r] + bias` for `rows` rows; x `[rows][inputs]` and out `[rows][width]` are addresses.
 *
 * Every output's sum runs over the inputs in order, however many rows there are.
 */
export function linear(
  kernels: Kernels,
  floats: Float32Array,
  layer: PackedLinear,
  x: number,
  rows: number,
  out: number,
): void {
  const { address, inputs, panels, width } = layer
  const xRow = inputs * 4
  const outRow = width * 4
  const panelStep = panelWidth * 4
  const panelBytes = inputs * panelStep
  startSums(floats, layer, rows, out)
  const fours = rows - (rows % 4)
  // Panel by panel: a panel stays in the nearest cache while all rows pass by it.
  for (let panel = 0; fours > 0 && panel < panels; panel++) {
    const w = address + panel * panelBytes
    const place = out + panel * panelStep
    for (let row = 0; row < fours; row += 4) {
      kernels.product4x1(x + row * xRow, xRow, w, panelStep, 0, place + row * outRow, outRow, inputs, 1, 0)
    }
  }
  for (let row = fours; row < rows; row++) {
    const place = out + row * outRow
    rowProduct(kernels, x + row * xRow, address, panelStep, panelBytes, panels, place, inputs, 1, 0)
  }
}

/** One row by any number of panels: as many as possible four at a time. Parameters as in `productKernel`. */
export function rowProduct(
  kernels: Kernels,
  x: number,
  w: number,
  wStep: number,
  wPanel: number,
  panels: number,
  out: number,
  count: number,
  segments: number,
  segment: number,
): void {
  let panel = 0
  for (; panel + 4 <= panels; panel += 4) {
    const place = out + panel * panelWidth * 4
    kernels.product1x4(x, 0, w + panel * wPanel, wStep, wPanel, place, 0, count, segments, segment)
  }
  for (; panel < panels; panel++) {
    const place = out + panel * panelWidth * 4
    kernels.product1x1(x, 0, w + panel * wPanel, wStep, wPanel, place, 0, count, segments, segment)
  }
}

function startSums(floats: Float32Array, { bias, width }: PackedLinear, rows: number, out: number): void {
  const start = out / 4
  if (bias === undefined) {
    floats.fill(0, start, start + rows * width)
    return
  }
  for (let row = 0; row < rows; row++) {
    floats.copyWithin(start + row * width, bias / 4, bias / 4 + width)
  }
}
