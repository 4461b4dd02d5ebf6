import type { LlamaConfig } from "../hf-config.ts"
import { type LlamaModel, llamaModel } from "./weights.ts"

/** The seed of a random model, and whatever should differ from the small default. */
export interface RandomLlamaOptions extends Partial<LlamaConfig> {
  readonly seed: number
  readonly name?: string
}

/** The default shape: small enough that a test computes thousands of tokens in a second. */
const smallConfig: LlamaConfig = {
  hiddenSize: 64,
  intermediateSize: 128,
  layers: 2,
  heads: 8,
  kvHeads: 4,
  headDim: 16,
  normEpsilon: 1e-5,
  rope: { theta: 10_000, scaling: { kind: "none" } },
  contextTokens: 512,
  vocabSize: 320,
  // Tied, a random model mostly repeats the token it just read.
  tiedEmbeddings: false,
  attentionBias: false,
  mlpBias: false,
  // An answer of random weights has no end; a test that wants one names its own.
  endTokens: [],
}

/**
 * Makes a Llama with random weights, the same for a seed on every machine and every version of Node.
 *
 * Its logits are flat, so the smallest damage to its cache changes the tokens at once: a sharper witness
 * than a trained model.
 */
export function randomLlama({ seed, name, ...overrides }: RandomLlamaOptions): LlamaModel {
  const config = { ...smallConfig, ...overrides }
  let tensors = 0
  return llamaModel(name ?? `random-${seed}`, config, (tensorName, shape) =>
    randomTensor(mix(mix(seed) ^ mix(++tensors + 0x9e3779b9)), tensorName, shape),
  )
}

function randomTensor(key: number, name: string, shape: readonly number[]): Float32Array {
  const numbers = new Float32Array(shape.reduce((product, size) => product * size, 1))
  const isNorm = name.endsWith("norm.weight")
  // The variance of a uniform number in [-s, s] is s^2 / 3: this keeps activations near 1.
  const spread = isNorm ? 0.25 : shape.length === 1 ? 0.5 : Math.sqrt(3 / shape[1]!)
  for (let index = 0; index < numbers.length; index++) {
    // 25 bits and a sign, over 2^24: from -1 up to 1, exact in fp32's reach, integers until here.
    const uniform = (mix((key + Math.imul(index, 0x9e3779b1)) | 0) >> 7) / 2 ** 24
    numbers[index] = (isNorm ? 1 : 0) + uniform * spread
  }
  return numbers
}

/** Spreads every bit of a 32-bit number over all of them (the finaliser of MurmurHash3). */
function mix(value: number): number {
  let bits = value | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}
