import { type KvLayout, kvStrides } from "./kv-layout.ts"

/**
 * Offset in bytes, inside its layer's region, of one row: one head's key or value of one token.
 *
 * `plane` is 0 for the key and 1 for the value; `head` counts from the model's first head; `slot` is the token's
 * place in the block.
 */
export function rowOffset(layout: KvLayout, block: number, plane: 0 | 1, head: number, slot: number): number {
  const strides = kvStrides(layout)
  return (
    block * strides.block +
    plane * strides.plane +
    (head - layout.firstHead) * strides.head +
    slot * strides.token
  )
}

/** Bytes of one row. */
export const rowBytes = (layout: KvLayout): number => layout.shape.headDim * layout.shape.elementBytes

/** True when the rows of one head of a block lie one behind the other. */
export const headIsContiguous = (layout: KvLayout): boolean =>
  layout.order === "head-major" || layout.heads === 1

/** The two planes of a block: keys, then values. */
export const planes = [0, 1] as const
