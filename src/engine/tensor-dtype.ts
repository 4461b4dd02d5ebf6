import { unreachable } from "../errors/assert.ts"

/** The element types of the safetensors format with a whole number of bytes, and how many. */
export const tensorDtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
  C64: 8,
} as const satisfies Record<string, number>

/** The name of an element type as safetensors spells it. */
export type TensorDtype = keyof typeof tensorDtypeBytes

/** Widens the bit patterns of `source` to fp32. Every fp16 and bf16 number is also an fp32 number: nothing is rounded. */
export function widenToFp32(dtype: TensorDtype, source: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length)
  if (dtype === "BF16") {
    for (let index = 0; index < source.length; index++) bits[index] = source[index]! << 16
  } else if (dtype === "F16") {
    for (let index = 0; index < source.length; index++) bits[index] = fp32BitsOfFp16(source[index]!)
  } else {
    unreachable(dtype as never, "only fp16 and bf16 are widened")
  }
}

function fp32BitsOfFp16(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13)
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  // A subnormal fp16 number is a normal fp32 number: move its leading one into place.
  const shift = Math.clz32(fraction) - 21
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}
