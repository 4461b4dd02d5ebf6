import {
  addF32x4,
  advance,
  type Code,
  get,
  i32,
  type Local,
  loadV128,
  mulF32x4,
  set,
  shuffleF32x4,
  splatF32,
  storeV128,
  times,
  type WasmFunction,
  wasmFunction,
} from "./assembler.ts"

/** Tokens whose scores one step computes together. */
export const scoreWidth = 4

/**
 * Scores of one query row against the keys of a paged cache: `out[t] = query . key[t]`.
 *
 * Lane l of a sum takes the numbers l, l + 4, l + 8, … of the head in order; then (l0 + l1) + (l2 + l3).
 * Scores are written four at a time, so up to three numbers behind the last one asked for are overwritten.
 *
 * Nine parameters, distances in bytes: `query`, vectors of four in a head (a count), `keys`, from token to token,
 * groups of four tokens per block (a count), blocks (a count), from block to block, `out`, bytes of out per block.
 */
export function scoresKernel(name: string): WasmFunction {
  return wasmFunction(name, 9, (parameters, locals) => {
    const [query, vectors, keys, token, groups, blocks, block, out, outBlock] = parameters as Tuple9
    const blockCounter = locals.i32()
    const groupCounter = locals.i32()
    const vectorCounter = locals.i32()
    const key = locals.i32()
    const place = locals.i32()
    const q = locals.i32()
    const lanes = Array.from({ length: scoreWidth }, () => locals.i32())
    const sums = locals.v128s(scoreWidth)
    const part = locals.v128()
    const pairs = locals.v128s(2)

    const group: Code = [
      ...set(q, get(query)),
      ...lanes.flatMap((lane) => [...set(lane, get(key)), ...advance(key, get(token))]),
      ...sums.flatMap((sum) => set(sum, splatF32(0))),
      ...times(vectorCounter, get(vectors), [
        ...set(part, loadV128(get(q))),
        ...advance(q, i32(16)),
        ...sums.flatMap((sum, index) => [
          ...set(sum, addF32x4(get(sum), mulF32x4(get(part), loadV128(get(lanes[index]!))))),
          ...advance(lanes[index]!, i32(16)),
        ]),
      ]),
      // Four sums of four lanes become one vector of four totals.
      ...set(pairs[0]!, pairwise(sums[0]!, sums[1]!)),
      ...set(pairs[1]!, pairwise(sums[2]!, sums[3]!)),
      ...storeV128(get(place), pairwise(pairs[0]!, pairs[1]!)),
      ...advance(place, i32(16)),
    ]
    return times(blockCounter, get(blocks), [
      ...set(key, get(keys)),
      ...set(place, get(out)),
      ...times(groupCounter, get(groups), group),
      ...advance(keys, get(block)),
      ...advance(out, get(outBlock)),
    ])
  })
}

/** `[a0 + a1, a2 + a3, b0 + b1, b2 + b3]`. */
function pairwise(a: Local, b: Local): Code {
  return addF32x4(shuffleF32x4(get(a), get(b), [0, 2, 4, 6]), shuffleF32x4(get(a), get(b), [1, 3, 5, 7]))
}

type Tuple9 = [Local, Local, Local, Local, Local, Local, Local, Local, Local]
