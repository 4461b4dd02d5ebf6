import { blocks } from "./blocks.ts"
import { type JudgeCase, suiteNames } from "./case.ts"
import { downgrade } from "./downgrade.ts"
import { engineLoad } from "./engine-load.ts"
import { deadPeers } from "./faults/dead-peers.ts"
import { deadReaders } from "./faults/dead-readers.ts"
import { lateCancel } from "./faults/late-cancel.ts"
import { refused } from "./faults/refused.ts"
import { reused } from "./faults/reused.ts"
import { stoppedPeers } from "./faults/stopped.ts"
import { takenBack } from "./faults/taken-back.ts"
import { tamperedBytes } from "./faults/tampered.ts"
import { largeLists } from "./large-lists.ts"
import { lifecycle } from "./lifecycle.ts"
import { manyPeersCases } from "./many-peers.ts"
import { manySequences } from "./many-sequences.ts"
import { noteCases } from "./notes.ts"
import { order } from "./order.ts"
import { ownLeases } from "./own-leases.ts"
import { pairs } from "./pairs.ts"
import { receipts } from "./receipts.ts"
import { shapes } from "./shapes.ts"
import { sharedBlocks } from "./shared-blocks.ts"
import { tp } from "./tp.ts"
import { wideTables } from "./wide-tables.ts"

const all = [
  shapes,
  blocks,
  sharedBlocks,
  wideTables,
  pairs,
  tp,
  order,
  noteCases,
  engineLoad,
  deadPeers,
  deadReaders,
  stoppedPeers,
  lateCancel,
  refused,
  takenBack,
  reused,
  tamperedBytes,
  downgrade,
  lifecycle,
  ownLeases,
  largeLists,
  manyPeersCases,
  manySequences,
  receipts,
].flat()

/** All cases, in the order in which they are run. */
export const allCases: readonly JudgeCase[] = all.toSorted(
  (one, other) => suiteNames.indexOf(one.suite) - suiteNames.indexOf(other.suite),
)
