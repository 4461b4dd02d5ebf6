import type { StoredSequence } from "../../verify/fingerprint.ts"
import { fingerprintBlocks, fingerprintHeads, hashText } from "../../verify/fingerprint.ts"
import type { Evidence } from "../protocol.ts"

/** Hashes of a stored sequence, and what was computed over it. */
export function evidenceOf(
  sequence: StoredSequence,
  computed: { readonly logits: readonly string[]; readonly drawn: readonly number[] },
): Evidence {
  const layers = sequence.layout.shape.layers
  const hashes = fingerprintBlocks(sequence)
  const positions = hashes.length / layers
  return {
    tokens: [...computed.drawn],
    logits: [...computed.logits],
    blocks: Array.from({ length: layers }, (_, layer) =>
      [...hashes.subarray(layer * positions, (layer + 1) * positions)].map(hashText),
    ),
    heads: fingerprintHeads(sequence).map((blocks) => blocks.map((heads) => heads.map(hashText))),
  }
}
