import type { RopeConfig } from "../rope-config.ts"

/**
 * Angle per token of each pair of numbers in a head: `headDim / 2` of them, rounded to fp32 as PyTorch keeps them.
 * @see Su et al., RoFormer; the stretching of Llama 3 as in transformers, `modeling_rope_utils.py`
 */
export function rotaryFrequencies(rope: RopeConfig, headDim: number): Float32Array {
  const { theta, scaling } = rope
  return Float32Array.from({ length: headDim / 2 }, (_, pair) => {
    const frequency = Math.fround(1 / Math.fround(theta ** Math.fround((2 * pair) / headDim)))
    if (scaling.kind === "none") return frequency
    if (scaling.kind === "linear") return frequency / scaling.factor
    const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContextTokens } = scaling
    const turns = (originalContextTokens * frequency) / (2 * Math.PI)
    if (turns > high) return frequency
    if (turns < low) return frequency / factor
    const share = (turns - low) / (high - low)
    return ((1 - share) * frequency) / factor + share * frequency
  })
}

/** The cosines and sines of some positions: `[rows][pairs]` each. */
export interface RotaryAngles {
  readonly cosines: Float32Array
  readonly sines: Float32Array
}

/** Makes room for the angles of up to `rows` positions. */
export function rotaryAngles(rows: number, pairs: number): RotaryAngles {
  return { cosines: new Float32Array(rows * pairs), sines: new Float32Array(rows * pairs) }
}

/** Fills in the angles of `rows` positions from `first` on. */
export function fillAngles(
  angles: RotaryAngles,
  frequencies: Float32Array,
  first: number,
  rows: number,
): void {
  for (let row = 0, index = 0; row < rows; row++) {
    for (let pair = 0; pair < frequencies.length; pair++, index++) {
      const angle = Math.fround((first + row) * frequencies[pair]!)
      angles.cosines[index] = Math.cos(angle)
      angles.sines[index] = Math.sin(angle)
    }
  }
}

/**
 * Rotates every head of every row in place, and multiplies it by `scale`: `[rows][heads][2 * pairs]` from `start`.
 *
 * A pair is a number of the first half of a head with its counterpart in the second, as Hugging Face
 * checkpoints store them; not neighbours, as in the original paper.
 */
export function rotate(
  floats: Float32Array,
  start: number,
  rows: number,
  heads: number,
  pairs: number,
  angles: RotaryAngles,
  scale: number,
): void {
  const { cosines, sines } = angles
  for (let row = 0, at = start; row < rows; row++) {
    const angle = row * pairs
    for (let head = 0; head < heads; head++, at += 2 * pairs) {
      for (let pair = 0; pair < pairs; pair++) {
        const a = floats[at + pair]!
        const b = floats[at + pairs + pair]!
        const cosine = cosines[angle + pair]!
        const sine = sines[angle + pair]!
        floats[at + pair] = (a * cosine - b * sine) * scale
        floats[at + pairs + pair] = (b * cosine + a * sine) * scale
      }
    }
  }
}
