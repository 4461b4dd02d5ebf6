/** What can be wrong with bytes, in one word each. Stable: machines read them. */
export const causes = {
  "base-address": "the base address of the region was read in place of the block's",
  "base-address-written": "the base address of the region was written in place of the block's",
  "other-block": "another block of the same layer is here",
  "other-layer": "another layer is here",
  "swapped-planes": "keys and values have changed places",
  "other-head": "another head is here",
  "other-agent": "another agent's bytes are here",
  "other-place": "another place of the source is here",
  shifted: "the right bytes are here, but not where they belong",
  stale: "bytes of an earlier owner of the blocks were moved",
  newer: "bytes of a later owner of the blocks were moved",
  "nothing-moved": "nothing was written at all",
  "lost-piece": "whole pieces were never written",
  "lost-tail": "the end of pieces was never written",
  "lost-head": "the beginning of pieces was never written",
  "lost-part": "parts of pieces were never written",
  late: "the bytes came after the transfer had been called done",
  zeros: "zeros are here",
  "after-end": "bytes of a transfer that had ended were written",
  outside: "bytes were written where nothing was to be written",
  "source-changed": "the side that was only read from has changed",
  "bit-flip": "single bits are wrong",
  unknown: "the bytes are none of the judge's",
} as const satisfies Record<string, string>

export type Cause = keyof typeof causes
