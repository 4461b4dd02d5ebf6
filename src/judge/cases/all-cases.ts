import { blocks } from "./blocks.ts"
import { type JudgeCase, suiteNames } from "./case.ts"
import { downgrade } from "./downgrade.ts"
import { engineLoad } from "./engine-load.ts"
import { deadPeers } from "./faults/dead-peers.ts"
import { refused } from "./faults/refused.ts"
import { reused } from "./faults/reused.ts"
import { stoppedPeers } from "./faults/stopped.ts"
import { largeLists } from "./large-lists.ts"
import { lifecycle } from "./lifecycle.ts"
import { order } from "./order.ts"
import { ownLeases } from "./own-leases.ts"
import { pairs } from "./pairs.ts"
import { receipts } from "./receipts.ts"
import { shapes } from "./shapes.ts"
import { tp } from "./tp.ts"

const all = [
  shapes,
  blocks,
  pairs,
  tp,
  order,
  engineLoad,
  deadPeers,
  stoppedPeers,
  refused,
  reused,
  downgrade,
  lifecycle,
  ownLeases,
  largeLists,
  receipts,
].flat()

/** All cases, in the order in which they are run. */
export const allCases: readonly JudgeCase[] = all.toSorted(
  (one, other) => suiteNames.indexOf(one.suite) - suiteNames.indexOf(other.suite),
)
