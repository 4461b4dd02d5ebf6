import type { LeaseEnd } from "../../agent/lease-state.ts"
import type { Life } from "../node.ts"

/** What was lent: which blocks of which life, and since when they are not lent any more. */
export interface Lent {
  readonly name: string
  readonly life: Life
  readonly lease: string
  readonly access: "read" | "write"
  readonly tokens: number
  /** What the blocks hold, or what their holder will fill them with. */
  readonly filling: number
  ended: { readonly why: LeaseEnd; readonly at: number } | undefined
}
