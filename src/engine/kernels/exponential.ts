import {
  addF32x4,
  addI32x4,
  advance,
  type Code,
  clearBits,
  divF32x4,
  get,
  i32,
  type Local,
  type Locals,
  lessF32x4,
  loadV128,
  maxF32x4,
  minF32x4,
  mulF32x4,
  nearestF32x4,
  set,
  shiftLeftI32x4,
  shuffleF32x4,
  splatF32,
  splatI32,
  storeV128,
  subF32x4,
  times,
  truncateF32x4,
  type WasmFunction,
  wasmFunction,
} from "./assembler.ts"

const smallest = -87.33
const largest = 88
// A polynomial for (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2, highest power first: Cephes, expf.c.
const polynomial = [1.9875691e-4, 1.3981999e-3, 8.333452e-3, 4.1665795e-2, 1.6666665e-1, 5.0000001e-1]
// ln(2) in two parts: the first has few bits, so a whole number times it is exact.
const ln2High = 0.693359375
const ln2Low = -2.1219444e-4

/**
 * e^x of four lanes in fp32, within 2 units of the last place; 0 below -87.33, NaN for NaN.
 *
 * Of additions and multiplications only, in one order: the bits are the same on every machine, which
 * `Math.exp` does not promise from one version of V8 to the next.
 */
function exponential(x: Local, locals: Locals): Code {
  const [n, r, y] = locals.v128s(3) as [Local, Local, Local]
  const bounded = minF32x4(maxF32x4(get(x), splatF32(smallest)), splatF32(largest))
  const horner = polynomial
    .slice(1)
    .reduce<Code>((sum, term) => addF32x4(mulF32x4(sum, get(r)), splatF32(term)), splatF32(polynomial[0]!))
  const powerOfTwo = shiftLeftI32x4(addI32x4(truncateF32x4(get(n)), splatI32(127)), 23)
  return [
    ...set(r, bounded),
    ...set(n, nearestF32x4(mulF32x4(get(r), splatF32(Math.LOG2E)))),
    ...set(r, subF32x4(get(r), mulF32x4(get(n), splatF32(ln2High)))),
    ...set(r, subF32x4(get(r), mulF32x4(get(n), splatF32(ln2Low)))),
    ...set(y, addF32x4(addF32x4(mulF32x4(horner, mulF32x4(get(r), get(r))), get(r)), splatF32(1))),
    ...clearBits(mulF32x4(get(y), powerOfTwo), lessF32x4(get(x), splatF32(smallest))),
  ]
}

/**
 * Turns scores into weights that add up to 1, in place.
 *
 * Two parameters: the row's address, and its vectors of four (a count, at least 1). Lanes behind the last score
 * hold -Infinity and become 0. The total takes lane l of every vector in order; then (l0 + l1) + (l2 + l3).
 */
export function softmaxKernel(name: string): WasmFunction {
  return wasmFunction(name, 2, (parameters, locals) => {
    const [row, vectors] = parameters as [Local, Local]
    const counter = locals.i32()
    const place = locals.i32()
    const [largestOf, x, total] = locals.v128s(3) as [Local, Local, Local]
    const each = (body: Code): Code => [
      ...set(place, get(row)),
      ...times(counter, get(vectors), [...body, ...advance(place, i32(16))]),
    ]
    return [
      ...set(largestOf, loadV128(get(row))),
      ...each(set(largestOf, maxF32x4(get(largestOf), loadV128(get(place))))),
      ...acrossLanes(largestOf, maxF32x4),
      ...set(total, splatF32(0)),
      ...each([
        ...set(x, subF32x4(loadV128(get(place)), get(largestOf))),
        ...set(x, exponential(x, locals)),
        ...set(total, addF32x4(get(total), get(x))),
        ...storeV128(get(place), get(x)),
      ]),
      ...acrossLanes(total, addF32x4),
      ...each(storeV128(get(place), divF32x4(loadV128(get(place)), get(total)))),
    ]
  })
}

/**
 * The gated activation of SwiGLU: `gate[i] = gate[i] / (1 + e^-gate[i]) * up[i]`, in place.
 *
 * Three parameters: gate, up, vectors of four (a count).
 */
export function swigluKernel(name: string): WasmFunction {
  return wasmFunction(name, 3, (parameters, locals) => {
    const [gate, up, vectors] = parameters as [Local, Local, Local]
    const counter = locals.i32()
    const [x, minus] = locals.v128s(2) as [Local, Local]
    return times(counter, get(vectors), [
      ...set(x, loadV128(get(gate))),
      ...set(minus, subF32x4(splatF32(0), get(x))),
      ...set(minus, exponential(minus, locals)),
      ...set(x, divF32x4(get(x), addF32x4(splatF32(1), get(minus)))),
      ...storeV128(get(gate), mulF32x4(get(x), loadV128(get(up)))),
      ...advance(gate, i32(16)),
      ...advance(up, i32(16)),
    ])
  })
}

/** Puts the result over all four lanes of `local` into each of them. */
function acrossLanes(local: Local, combine: (a: Code, b: Code) => Code): Code {
  return [
    ...set(local, combine(get(local), shuffleF32x4(get(local), get(local), [1, 0, 3, 2]))),
    ...set(local, combine(get(local), shuffleF32x4(get(local), get(local), [2, 3, 0, 1]))),
  ]
}
