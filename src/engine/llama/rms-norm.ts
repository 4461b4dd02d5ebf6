/**
 * Scales each row to a root mean square of 1, then by `weight`: `[rows][weight.length]` from index `x` to `out`.
 *
 * The sum of squares is taken in fp64 in the order of the row, whatever rows are beside it.
 */
export function rmsNorm(
  floats: Float32Array,
  x: number,
  rows: number,
  weight: Float32Array,
  epsilon: number,
  out: number,
): void {
  const size = weight.length
  for (let row = 0; row < rows; row++) {
    const from = x + row * size
    const to = out + row * size
    let squares = 0
    for (let index = 0; index < size; index++) {
      const value = floats[from + index]!
      squares += value * value
    }
    const scale = 1 / Math.sqrt(squares / size + epsilon)
    for (let index = 0; index < size; index++) {
      floats[to + index] = floats[from + index]! * scale * weight[index]!
    }
  }
}
