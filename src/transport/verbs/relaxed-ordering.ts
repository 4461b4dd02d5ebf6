import type { RelaxedOrderingMode } from "../../config/rdma-settings.ts"
import { KvError } from "../../errors/kv-error.ts"
import { ibverbsAbi as abi } from "../../os/ffi/ibverbs-abi.ts"

/** A mode, and who asked for it; the words and numbers of options and variables are read in `config/`. */
export interface RelaxedOrderingWish {
  readonly mode: RelaxedOrderingMode
  /** `--relaxed-ordering`, `MC_IB_PCI_RELAXED_ORDERING`, or `default`. */
  readonly origin: string
}

/** What was decided, in one line for the log, `explain` and receipts. */
export interface RelaxedOrdering {
  readonly relaxed: boolean
  /** Bits to add to each registration's access flags. */
  readonly flags: number
  readonly why: string
}

/**
 * Decides for one opened library.
 *
 * @param library where it was opened from, for the words.
 * @param hasIova2 whether it has the symbol `ibv_reg_mr_iova2` (IBVERBS_1.8, rdma-core 28): the only call that leaves the flag out by
 *   itself where the kernel does not know it. Nothing tells whether the NIC and the PCIe path make use of it.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE when it was asked for with `on` and cannot be had.
 */
export function decideRelaxedOrdering(
  { mode, origin }: RelaxedOrderingWish,
  hasIova2: boolean,
  library: string,
): RelaxedOrdering {
  const strict = (why: string): RelaxedOrdering => ({ relaxed: false, flags: 0, why })
  if (mode === "off") return strict(`relaxed ordering is off (${origin}): regions are registered strict`)
  if (hasIova2) {
    return {
      relaxed: true,
      flags: abi.IBV_ACCESS_RELAXED_ORDERING,
      why: `relaxed ordering is asked for (${mode}, ${origin}): ${library} has ibv_reg_mr_iova2, regions are registered with IBV_ACCESS_RELAXED_ORDERING`,
    }
  }
  if (mode === "auto") {
    return strict(
      `relaxed ordering cannot be had (${mode}, ${origin}): ${library} has no ibv_reg_mr_iova2, regions are registered strict`,
    )
  }
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `relaxed ordering was asked for (${mode}, ${origin}) and cannot be had`,
    why: `${library} has no ibv_reg_mr_iova2: it is older than rdma-core 28`,
    next: "install a newer rdma-core, or say --relaxed-ordering auto",
  })
}

const accessNames = [
  [abi.IBV_ACCESS_LOCAL_WRITE, "local write"],
  [abi.IBV_ACCESS_REMOTE_WRITE, "remote write"],
  [abi.IBV_ACCESS_REMOTE_READ, "remote read"],
  [abi.IBV_ACCESS_REMOTE_ATOMIC, "remote atomic"],
  [abi.IBV_ACCESS_MW_BIND, "memory windows"],
  [abi.IBV_ACCESS_ZERO_BASED, "zero based"],
  [abi.IBV_ACCESS_ON_DEMAND, "on demand"],
  [abi.IBV_ACCESS_HUGETLB, "huge pages"],
  [abi.IBV_ACCESS_RELAXED_ORDERING, "relaxed ordering"],
] as const

/** The access flags of a registration as words, for `explain` and receipts: what the region was really registered with. */
export function accessFlagNames(flags: number): string[] {
  const known = accessNames.filter(([bit]) => (flags & bit) !== 0)
  const rest = known.reduce((left, [bit]) => left & ~bit, flags) >>> 0
  return [...known.map(([, name]) => name), ...(rest === 0 ? [] : [`0x${rest.toString(16)}`])]
}
