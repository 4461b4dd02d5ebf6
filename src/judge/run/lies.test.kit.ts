/** What each lie is caught by: the cases, and the cause that they name where bytes tell it. */
export interface Lie {
  readonly name: string
  readonly cases: readonly string[]
  /** Every one of the cases names it. */
  readonly cause?: string
}

export const lies: readonly Lie[] = [
  {
    name: "base-address",
    cause: "base-address",
    cases: [
      "shapes/counts-read",
      "shapes/order-write",
      "blocks/random-tables-read",
      "blocks/far-apart-write",
      "tp/1-to-1",
      "tp/2-to-2",
      "tp/4-to-4",
      "load/paged-pool",
      "load/several-readers",
    ],
  },
  {
    name: "above-64k",
    cause: "lost-tail",
    cases: [
      "shapes/sizes-read",
      "shapes/sizes-write",
      "shapes/long-pieces-read",
      "shapes/long-pieces-write",
      "pairs/unequal-rails",
      "pairs/unequal-rails-write",
    ],
  },
  { name: "queue-of-1024", cause: "lost-piece", cases: ["shapes/counts-write"] },
  {
    name: "odd-tail",
    cause: "lost-tail",
    cases: ["shapes/mixed-read", "shapes/mixed-write"],
  },
  {
    name: "merges",
    cases: ["shapes/adjacent-read", "shapes/adjacent-write", "blocks/runs-read", "blocks/runs-write"],
  },
  { name: "shifted", cause: "shifted", cases: ["shapes/strided-read", "shapes/strided-write"] },
  {
    name: "zeros",
    cause: "zeros",
    cases: ["shapes/overlapping-source-read", "shapes/overlapping-source-write"],
  },
  { name: "overrun", cause: "outside", cases: ["shapes/counts-read"] },
  {
    name: "first-content",
    cause: "stale",
    cases: ["shapes/repost-read", "blocks/reused-blocks", "lifecycle/reconnect"],
  },
  // What was passed on is another agent's, to the judge.
  { name: "first-content", cases: ["blocks/relay-read", "blocks/relay-write"] },
  {
    name: "second-post-nothing",
    cause: "nothing-moved",
    cases: ["shapes/repost-write", "blocks/posted-again"],
  },
  { name: "zero-is-all", cause: "outside", cases: ["shapes/zero-length"] },
  { name: "other-layer", cause: "other-layer", cases: ["shapes/order-read"] },
  { name: "same-numbers", cause: "other-block", cases: ["blocks/random-tables-write", "blocks/prefix-hit"] },
  { name: "whole-block", cause: "outside", cases: ["blocks/lengths-read", "blocks/lengths-write"] },
  { name: "byte-counter", cases: ["blocks/long-read", "blocks/long-write"] },
  { name: "16-bit-blocks", cases: ["blocks/wide-read", "blocks/wide-write"] },
  { name: "no-room-to-grow", cases: ["blocks/room-to-grow-read", "blocks/room-to-grow-write"] },
  { name: "no-null-blocks", cases: ["blocks/null-block-read"] },
  { name: "any-table", cases: ["faults/named-twice-read", "faults/named-twice-write"] },
  { name: "near-only", cases: ["blocks/far-apart-read"] },
  {
    name: "lost-tail",
    cause: "lost-tail",
    cases: [
      "blocks/one-call-read",
      "blocks/cache-shapes",
      "blocks/unequal-read",
      "blocks/unequal-write",
      "blocks/grown-read",
      "blocks/grown-write",
      "shapes/edges-read",
      "shapes/edges-write",
      "pairs/sequences-read",
      "pairs/sequences-write",
    ],
  },
  {
    name: "byte-peers",
    cases: ["lifecycle/many-peers-pieces", "lifecycle/many-peers-blocks"],
  },
  { name: "last-peer", cause: "other-agent", cases: ["pairs/each-with-each"] },
  { name: "heads-ignored", cases: ["tp/1-to-2", "tp/1-to-4", "tp/2-to-4", "tp/4-to-2"] },
  { name: "first-peer", cases: ["tp/2-to-1", "tp/4-to-1"] },
  { name: "early-done", cause: "late", cases: ["order/visible-read", "order/visible-write"] },
  {
    name: "one-at-a-time",
    cases: [
      "order/visible-under-load",
      "load/layers-together",
      "load/layers-at-once",
      "load/layerwise-read",
      "load/layerwise-write",
    ],
  },
  { name: "writes-back", cases: ["order/concurrent-writer-read"] },
  {
    name: "lost-piece",
    cause: "lost-piece",
    cases: ["order/concurrent-writer-write", "load/several-writers"],
  },
  { name: "note-early", cases: ["order/notes-pieces-read", "order/notes-blocks-write"] },
  { name: "note-twice", cases: ["order/notes-pieces-write", "order/notes-one-call"] },
  { name: "no-note", cases: ["order/notes-blocks-read"] },
  { name: "notes-merged", cases: ["order/notes-blocks-read", "order/notes-pieces-write"] },
  { name: "notes-failures", cases: ["order/no-note-of-failure", "order/no-note-of-wrong-bytes"] },
  {
    name: "writes-after-cancel",
    cases: [
      "load/aborted-reuse",
      "faults/cancelled-pieces-read",
      "faults/cancelled-pieces-write",
      "faults/cancelled-blocks-read",
      "faults/cancelled-blocks-write",
      "faults/deadline-pieces",
      "faults/deadline-blocks",
    ],
  },
  {
    name: "dead-is-done",
    cases: [
      "faults/killed-pieces-read",
      "faults/killed-blocks-read",
      "faults/dead-before-pieces",
      "faults/dead-before-blocks",
    ],
  },
  { name: "waits-for-the-dead", cases: ["faults/killed-pieces-write", "faults/killed-blocks-write"] },
  { name: "keeps-old-peer", cases: ["faults/restarted-pieces", "faults/restarted-blocks"] },
  { name: "one-death-all", cases: ["faults/other-peer-lives"] },
  { name: "readers-die-together", cases: ["faults/other-reader-lives", "faults/other-reader-dies"] },
  {
    name: "gives-up-half-way",
    cases: ["faltering", "stopped-near-the-end"].flatMap((name) => [
      `faults/${name}-read`,
      `faults/${name}-write`,
    ]),
  },
  {
    name: "no-deadline",
    cases: [
      "faults/stopped-before-pieces",
      "faults/stopped-under-way-pieces",
      "faults/stopped-before-blocks",
      "faults/stopped-under-way-blocks",
      "faults/stopped-before-blocks-write",
      "faults/stopped-before-small-pieces",
      "faults/stopped-before-small-blocks",
    ],
  },
  {
    name: "never-cancels",
    cases: ["pieces", "blocks", "small-pieces", "small-blocks"].map(
      (what) => `faults/cancelled-in-vain-${what}`,
    ),
  },
  { name: "no-bounds", cases: ["faults/out-of-bounds-read", "faults/out-of-bounds-write"] },
  {
    name: "deregister",
    cases: [
      "faults/deregistered",
      "faults/deregistered-write",
      "faults/deregistered-under-way-read",
      "faults/deregistered-under-way-write",
    ],
  },
  { name: "lets-strangers-in", cases: ["faults/stranger"] },
  { name: "leases-for-all", cases: ["faults/held-by-another"] },
  { name: "leases-by-name", cases: ["faults/held-by-another"] },
  { name: "any-access", cases: ["faults/lent-the-other-way"] },
  {
    name: "no-epochs",
    cases: [
      "faults/withdrawn",
      "faults/withdrawn-long-ago",
      "faults/withdrawn-under-way-write",
      "faults/one-block-reused",
      "faults/one-of-many-reused",
      "faults/one-of-65536-reused",
      "faults/withdrawn-one-by-one",
      "faults/reused-under-way",
    ],
  },
  { name: "no-fence", cases: ["faults/expired-under-way-write"] },
  { name: "8-bit-stamps", cases: ["faults/one-block-reused"] },
  {
    name: "cancels-the-next",
    cases: ["faults/cancelled-too-late-pieces", "faults/cancelled-too-late-blocks"],
  },
  {
    name: "short-leases",
    cases: ["lifecycle/posted-late", "lifecycle/thousands-held", "faults/withdrawn-one-by-one"],
  },
  { name: "four-failures", cases: ["faults/refused-many-times"] },
  {
    name: "no-proof",
    cases: ["tampered", "tampered-wholly", "tampered-in-part", "tampered-write"].map(
      (name) => `faults/${name}`,
    ),
  },
  {
    name: "takes-any-path",
    cases: ["unknown-path", "absent-path", "no-common-path"].flatMap((name) => [
      `downgrade/${name}`,
      `downgrade/${name}-blocks`,
    ]),
  },
  { name: "leaks", cases: ["lifecycle/prepare-release"] },
  { name: "16-bit", cause: "nothing-moved", cases: ["lifecycle/many-posts"] },
  { name: "ring-of-4096", cases: ["lifecycle/many-large-posts"] },
  { name: "room-for-400", cases: ["lifecycle/prepared-and-forgotten"] },
  {
    name: "256-slots",
    cases: ["load/hundreds-at-once", "lifecycle/many-prepared", "lifecycle/many-prepared-lists"],
  },
  { name: "by-name", cause: "other-agent", cases: ["lifecycle/equal-names"] },
  { name: "receipt", cases: ["receipts/pieces"] },
  { name: "receipt-rails", cases: ["receipts/sequences-read"] },
  { name: "receipt-path", cases: ["receipts/sequences-write"] },
  { name: "receipt-sides", cases: ["receipts/sequences-read", "receipts/sequences-write"] },
  { name: "receipt-blocks", cases: ["receipts/sequences-read", "receipts/sequences-write"] },
  { name: "receipt-hashes", cases: ["receipts/proof-read"] },
  { name: "receipt-ticket", cases: ["receipts/sequences-read", "load/hundreds-at-once"] },
  { name: "receipt-difference", cases: ["faults/tampered"] },
  {
    name: "no-level-of-its-own",
    cases: ["read", "one-call", "write"].map((name) => `receipts/levels-of-agents-${name}`),
  },
  { name: "good-receipt", cases: ["receipts/of-a-failure"] },
  { name: "verdict-without-a-look", cases: ["receipts/proof-read", "receipts/proof-write"] },
  {
    name: "receipt-of-the-plan",
    cases: ["faults/cancelled-pieces-read", "faults/cancelled-blocks-write", "faults/deadline-blocks"],
  },
]
