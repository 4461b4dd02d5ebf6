import type { IntegrityLevel } from "../../receipt/receipt.ts"
import type { SimNode } from "../node.ts"

/** What a request does. `twice` is two pulls of one lease at once, as a client that loses its patience makes them. */
export const workKinds = ["pull", "twice", "prepared", "push", "push twice", "attach", "notify"] as const
export type WorkKind = (typeof workKinds)[number]

/** What a request asks for; times in milliseconds. */
export interface RequestTraits {
  readonly kind: WorkKind
  /** Whose blocks are lent: those that are read, or those that a push fills. */
  readonly owner: SimNode
  /** Who claims the lease. */
  readonly holder: SimNode
  readonly tokens: number
  readonly integrity: IntegrityLevel
  readonly leaseMillis: number
  readonly timeoutMillis: number
  /** From the loan to the claim: the frontend's part. */
  readonly carryMillis: number
  /** Cancelled so long after its start; never when absent. */
  readonly cancelMillis?: number
  /** Taken back by its owner so long after the loan; never when absent. */
  readonly withdrawMillis?: number
  /** Posts of a prepared read. */
  readonly posts: number
  /** Between two posts, and the use of an attachment. */
  readonly useMillis: number
}
