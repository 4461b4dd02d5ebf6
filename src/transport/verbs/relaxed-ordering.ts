import { KvError } from "../../errors/kv-error.ts"
import { ibverbsAbi as abi } from "../../os/ffi/ibverbs-abi.ts"

/**
 * Whether regions are registered so that the NIC's writes to them may reach memory in any order.
 *
 * `auto` asks for it where it can be had, and says which of the two it was; `on` is an error where it cannot.
 */
export type RelaxedOrderingMode = "off" | "on" | "auto"

/** A mode, and who asked for it. */
export interface RelaxedOrderingWish {
  readonly mode: RelaxedOrderingMode
  /** `--relaxed-ordering`, `MC_IB_PCI_RELAXED_ORDERING=1`, or `default`. */
  readonly origin: string
}

/** What was decided, in one line for the log, `explain` and receipts. */
export interface RelaxedOrdering {
  readonly relaxed: boolean
  /** Bits to add to each registration's access flags. */
  readonly flags: number
  readonly why: string
}

/** The environment variable that Mooncake's users already set. */
export const relaxedOrderingVariable = "MC_IB_PCI_RELAXED_ORDERING"

/**
 * The wish of an option and an environment; the option wins.
 *
 * Mooncake's 0 is `off`. Its 1 and 2 both fall back where the library is too old, so both are `auto`. Its own default was 0 when the
 * variable came (pull request 1076, December 2025) and has been 1 since pull request 3205 (July 2026); ours is `auto`.
 * @throws KvError KV_USAGE for another word or number: a switch that is misread must not be taken for its default.
 */
export function relaxedOrderingWish(
  option: string | undefined,
  variable: string | undefined,
): RelaxedOrderingWish {
  if (option !== undefined) {
    if (option === "off" || option === "on" || option === "auto") {
      return { mode: option, origin: "--relaxed-ordering" }
    }
    throw wrong(`--relaxed-ordering is ${JSON.stringify(option.slice(0, 40))}`, "off, on or auto")
  }
  if (variable === undefined || variable === "") return { mode: "auto", origin: "default" }
  if (!/^[012]$/.test(variable)) {
    throw wrong(`${relaxedOrderingVariable} is ${JSON.stringify(variable.slice(0, 40))}`, "0, 1 or 2")
  }
  return { mode: variable === "0" ? "off" : "auto", origin: `${relaxedOrderingVariable}=${variable}` }
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

function wrong(what: string, known: string): KvError {
  return new KvError("KV_USAGE", { what, why: `it is one of ${known}` })
}
