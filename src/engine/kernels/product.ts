import {
  addF32x4,
  addI32,
  advance,
  andI32,
  type Code,
  get,
  i32,
  type Local,
  loadSplat,
  loadV128,
  mulF32x4,
  set,
  shiftRightI32,
  storeV128,
  times,
  type WasmFunction,
  wasmFunction,
} from "./assembler.ts"

/** Outputs that one panel of weights holds side by side: two vectors of four fp32. */
export const panelWidth = 8

const unrolled = 4

/**
 * A product of `rows` rows by `panels` panels of eight outputs, its sums kept in registers.
 *
 * `out[r][p * 8 + o] += sum over k of x[r][k] * w[p][k][o]`, one fp32 addition after the other in the order of k,
 * beginning with what `out` holds. So an output's bits depend neither on the rows beside it nor on where a sum
 * was put down and taken up again. That is what lets a prompt be cut anywhere.
 *
 * Ten parameters, distances in bytes: `x`, from row to row of x, `w`, from k to k, from panel to panel, `out`,
 * from row to row of out, k per segment, segments, from segment to segment of w. The k of x run on through the
 * segments: a linear layer is one segment, the values in a paged cache have one per block.
 */
export function productKernel(name: string, rows: number, panels: number): WasmFunction {
  return wasmFunction(name, 10, (parameters, locals) => {
    const [x, xRow, w, wStep, wPanel, out, outRow, count, segments, segment] = parameters as Tuple10
    const counter = locals.i32()
    const segmentCounter = locals.i32()
    const xRows = Array.from({ length: rows }, () => locals.i32())
    const wPanels = Array.from({ length: panels }, () => locals.i32())
    const outRows = Array.from({ length: rows }, () => locals.i32())
    const spread = locals.v128()
    const weights = locals.v128s(panels * 2)
    const sums = locals.v128s(rows * panels * 2)

    const eachSum = (use: (sum: Local, row: Local, offset: number) => Code): Code =>
      sums.flatMap((sum, index) => {
        const half = index % (panels * 2)
        return use(sum, outRows[(index - half) / (panels * 2)]!, half * 16)
      })

    /** One k: its weights once, then each row's number times all of them. `offset` in bytes along x. */
    const step = (offset: number): Code => [
      ...weights.flatMap((weight, half) => set(weight, loadV128(get(wPanels[half >> 1]!), (half & 1) * 16))),
      ...wPanels.flatMap((pointer) => advance(pointer, get(wStep))),
      ...xRows.flatMap((pointer, row) => [
        ...set(spread, loadSplat(get(pointer), offset)),
        ...weights.flatMap((weight, half) => {
          const sum = sums[row * panels * 2 + half]!
          return set(sum, addF32x4(get(sum), mulF32x4(get(spread), get(weight))))
        }),
      ]),
    ]
    const advanceRows = (bytes: number): Code => xRows.flatMap((pointer) => advance(pointer, i32(bytes)))
    const steps = Array.from({ length: unrolled }, (_, index) => step(index * 4)).flat()

    return [
      ...pointers(xRows, x, xRow),
      ...pointers(outRows, out, outRow),
      ...eachSum((sum, row, offset) => set(sum, loadV128(get(row), offset))),
      ...times(segmentCounter, get(segments), [
        ...pointers(wPanels, w, wPanel),
        ...times(counter, shiftRightI32(get(count), 2), [...steps, ...advanceRows(unrolled * 4)]),
        ...times(counter, andI32(get(count), i32(unrolled - 1)), [...step(0), ...advanceRows(4)]),
        ...advance(w, get(segment)),
      ]),
      ...eachSum((sum, row, offset) => storeV128(get(row), get(sum), offset)),
    ]
  })
}

type Tuple10 = [Local, Local, Local, Local, Local, Local, Local, Local, Local, Local]

/** `locals[i] = first + i * distance`. */
function pointers(locals: readonly Local[], first: Local, distance: Local): Code {
  return locals.flatMap((local, index) =>
    index === 0 ? set(local, get(first)) : set(local, addI32(get(locals[index - 1]!), get(distance))),
  )
}
