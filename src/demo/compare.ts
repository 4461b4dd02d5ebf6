import type { Difference } from "../receipt/receipt.ts"
import type { Evidence } from "../serve/protocol.ts"
import { firstDifferentHead } from "../verify/first-difference.ts"
import type { Reference } from "./reference.ts"

/** What a comparison found for one prompt. */
export interface Comparison {
  readonly verdict: "identical" | "different"
  /** Token ids compared, and the first step at which they differ. */
  readonly tokens: Compared
  /** Steps whose logits were compared bit for bit (by hash), and the first that differs. */
  readonly logits: Compared
  /** (layer, block position) contents compared by hash, and the first that differs. */
  readonly blocks: Compared
  /** Where the decode worker's blocks first differ from those of the run in one process. */
  readonly firstDifference?: Difference
  /** True when the prefill worker's own blocks were right: the damage came after it. */
  readonly prefillIntact: boolean
}

/** One list held against another. */
export interface Compared {
  readonly compared: number
  readonly equal: number
  readonly first?: number
}

/**
 * Holds what two processes computed against what one process computed.
 *
 * Missing evidence is a difference, never a pass.
 */
export function compare(
  served: { readonly prefill?: Evidence | undefined; readonly decode?: Evidence | undefined },
  reference: Reference,
): Comparison {
  const tokens = compareLists(
    [...reference.prefill.tokens, ...reference.decode.tokens],
    [...(served.prefill?.tokens ?? []), ...(served.decode?.tokens ?? [])],
  )
  const logits = compareLists(
    [...reference.prefill.logits, ...reference.decode.logits],
    [...(served.prefill?.logits ?? []), ...(served.decode?.logits ?? [])],
  )
  const blocks = compareLists(reference.decode.blocks.flat(), served.decode?.blocks.flat() ?? [])
  const firstDifference = firstDifferentHead(reference.decode.heads, served.decode?.heads ?? [])
  const prefillIntact =
    served.prefill !== undefined &&
    firstDifferentHead(reference.prefill.heads, served.prefill.heads) === undefined
  const lists = [tokens, logits, blocks]
  const identical =
    lists.every(({ first }) => first === undefined) && firstDifference === undefined && prefillIntact
  return {
    verdict: identical ? "identical" : "different",
    tokens,
    logits,
    blocks,
    ...(firstDifference === undefined ? {} : { firstDifference }),
    prefillIntact,
  }
}

function compareLists(wanted: readonly (string | number)[], found: readonly (string | number)[]): Compared {
  const compared = Math.max(wanted.length, found.length)
  let equal = 0
  let first: number | undefined
  for (let i = 0; i < compared; i++) {
    if (wanted[i] === found[i]) equal += 1
    else first ??= i
  }
  return { compared, equal, ...(first === undefined ? {} : { first }) }
}

/** A place in words: "layer 2, block 3, head 1 (value)". */
export function placeText({ layer, block, head, plane }: Difference): string {
  const exact = head === undefined ? "" : `, head ${head}${plane === undefined ? "" : ` (${plane})`}`
  return `layer ${layer}, block ${block}${exact}`
}
