import { wasmModule } from "./assembler.ts"
import { scoresKernel } from "./attention.ts"
import { softmaxKernel, swigluKernel } from "./exponential.ts"
import { productKernel } from "./product.ts"
import type { WasmMemory } from "./webassembly.ts"

type Product = (
  x: number,
  xRow: number,
  w: number,
  wStep: number,
  wPanel: number,
  out: number,
  outRow: number,
  count: number,
  segments: number,
  segment: number,
) => void

/**
 * The inner loops of the decoder over one memory; addresses are bytes in it. Each kernel's file describes it.
 *
 * They are WebAssembly for two reasons. Its fp32 arithmetic is exact by specification, so the same prompt gives the
 * same bits on every machine and version of Node. And it has vectors: a product runs 6 times faster than the best
 * shape of loops over Float32Array that we found (16 against 2.7 thousand million multiplications a second).
 */
export interface Kernels {
  /** Four rows by one panel. */
  readonly product4x1: Product
  /** One row by four panels. */
  readonly product1x4: Product
  /** One row by one panel. */
  readonly product1x1: Product
  readonly scores: (
    query: number,
    vectors: number,
    keys: number,
    token: number,
    groups: number,
    blocks: number,
    block: number,
    out: number,
    outBlock: number,
  ) => void
  readonly softmax: (row: number, vectors: number) => void
  readonly swiglu: (gate: number, up: number, vectors: number) => void
}

let compiled: object | undefined

/** Instantiates the kernels over `memory`. Their code is written and compiled once per process. */
export function openKernels(memory: WasmMemory): Kernels {
  compiled ??= new WebAssembly.Module(
    wasmModule([
      productKernel("product4x1", 4, 1),
      productKernel("product1x4", 1, 4),
      productKernel("product1x1", 1, 1),
      scoresKernel("scores"),
      softmaxKernel("softmax"),
      swigluKernel("swiglu"),
    ]),
  )
  // The module above exports exactly these names with these parameters.
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernels
}
