import type { StoredSequence } from "../../verify/fingerprint.ts"
import { fingerprintBlocks, fingerprintHeads, hashText } from "../../verify/fingerprint.ts"
import type { Evidence } from "../protocol.ts"

/** Hashes of a stored sequence, and of the logits that were computed over it. */
export function evidenceOf(sequence: StoredSequence, logits: readonly string[]): Evidence {
  const layers = sequence.layout.shape.layers
  const hashes = fingerprintBlocks(sequence)
  const positions = hashes.length / layers
  return {
    logits: [...logits],
    blocks: Array.from({ length: layers }, (_, layer) =>
      [...hashes.subarray(layer * positions, (layer + 1) * positions)].map(hashText),
    ),
    heads: fingerprintHeads(sequence).map((blocks) => blocks.map((heads) => heads.map(hashText))),
  }
}
