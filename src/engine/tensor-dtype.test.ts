import assert from "node:assert/strict"
import { test } from "node:test"
import { widenToFp32 } from "./tensor-dtype.ts"

const allPatterns = Uint16Array.from({ length: 65_536 }, (_, pattern) => pattern)

test("every fp16 pattern widens to the number it stands for", () => {
  const widened = new Float32Array(65_536)
  widenToFp32("F16", allPatterns, widened)
  for (const pattern of allPatterns) {
    const sign = pattern & 0x8000 ? -1 : 1
    const exponent = (pattern >> 10) & 0x1f
    const fraction = pattern & 0x3ff
    const special = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
    const normal = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
    assert.ok(Object.is(widened[pattern], exponent === 31 ? special : sign * normal), pattern.toString(16))
  }
})

test("every bf16 pattern is the upper half of its fp32 pattern", () => {
  const widened = new Float32Array(65_536)
  widenToFp32("BF16", allPatterns, widened)
  const bits = new Uint32Array(widened.buffer)
  for (const pattern of allPatterns) assert.equal(bits[pattern], pattern * 65_536)
})
