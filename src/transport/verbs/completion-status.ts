import { ibverbsAbi as abi } from "../../os/ffi/ibverbs-abi.ts"

/** What was posted, as the words of an error need it. */
export type PostedWork = "read" | "write" | "notice"

/** Whose fault a completion error is. The kinds are those of the core's `WorkFailure`. */
export interface CompletionFailure {
  readonly kind: "refused" | "local" | "flushed" | "lane"
  /** The header's name, such as `IBV_WC_REM_ACCESS_ERR`. */
  readonly status: string
  readonly vendorCode: number
  readonly likelyCause: string
  /** What the reader can do about it. */
  readonly next: string
}

interface Meaning {
  readonly kind: CompletionFailure["kind"]
  readonly likelyCause: string
  readonly next: string
}

const askAgain = "fetch the peer's card again and resubmit: a new connection asks for a new grant"
const lookAtLink =
  "look at both ports (`rdma link`, `ibv_devinfo`), their cables and their switch, and see dmesg"
const report = "report this with the whole line: no input should be able to cause it"

/**
 * What each status mostly means. The causes are likely ones: a status says what the NIC saw, and not why.
 *
 * RETRY_EXC, REM_ACCESS, LOC_PROT, LOC_QP_OP and WR_FLUSH were provoked on Soft-RoCE; the others follow the words of
 * rdma-core's `ibv_wc_status_str` and of the InfiniBand specification's completion return statuses.
 */
const meanings: Readonly<Record<string, Meaning>> = {
  IBV_WC_LOC_LEN_ERR: {
    kind: "local",
    likelyCause:
      "the request is longer than the port's largest message, or a message was longer than its buffer",
    next: "lower the slice size",
  },
  IBV_WC_LOC_QP_OP_ERR: {
    kind: "lane",
    likelyCause: "the local port went down, or the queue pair was not ready to send",
    next: lookAtLink,
  },
  IBV_WC_LOC_EEC_OP_ERR: {
    kind: "lane",
    likelyCause: "an end-to-end context failed; this transport has none",
    next: report,
  },
  IBV_WC_LOC_PROT_ERR: {
    kind: "local",
    likelyCause: "this side's region was closed while a transfer used it, or its key is not of this NIC",
    next: "close a region only after the transfers that use it have ended",
  },
  IBV_WC_WR_FLUSH_ERR: {
    kind: "flushed",
    likelyCause: "it stood behind a request that failed, or the queue pair was stopped",
    next: "nothing: it is posted again while its transfer lives",
  },
  IBV_WC_MW_BIND_ERR: {
    kind: "local",
    likelyCause: "a memory window failed; this transport binds none",
    next: report,
  },
  IBV_WC_BAD_RESP_ERR: {
    kind: "lane",
    likelyCause: "the peer's NIC answered with a packet that does not fit the request",
    next: lookAtLink,
  },
  IBV_WC_LOC_ACCESS_ERR: {
    kind: "local",
    likelyCause: "a message arrived for memory that this side has not registered for it",
    next: report,
  },
  IBV_WC_REM_INV_REQ_ERR: {
    kind: "refused",
    likelyCause: "the peer's queue pair does not allow this operation, or it is longer than the peer takes",
    next: "check what the session may do; fetch the peer's card again",
  },
  IBV_WC_REM_ACCESS_ERR: {
    kind: "refused",
    likelyCause:
      "the key is not of that rail, the region was closed or registered again, its bounds or its rights end before",
    next: askAgain,
  },
  IBV_WC_REM_OP_ERR: {
    kind: "lane",
    likelyCause: "the peer's NIC could not carry the request out",
    next: lookAtLink,
  },
  IBV_WC_RETRY_EXC_ERR: {
    kind: "lane",
    likelyCause:
      "no acknowledgement: the peer's process or host is gone, its link is down, or no route leads to its GID",
    next: "see whether the peer lives; check the link, the GID index and, on RoCE, that UDP port 4791 passes",
  },
  IBV_WC_RNR_RETRY_EXC_ERR: {
    kind: "lane",
    likelyCause: "the peer had no receive posted for a notice: its rail's thread does not run",
    next: "look into the peer's log: its process may be stopped or overloaded",
  },
  IBV_WC_LOC_RDD_VIOL_ERR: {
    kind: "local",
    likelyCause: "reliable datagrams only; this transport uses none",
    next: report,
  },
  IBV_WC_REM_INV_RD_REQ_ERR: {
    kind: "refused",
    likelyCause: "the peer refused a reliable datagram; this transport uses none",
    next: report,
  },
  IBV_WC_REM_ABORT_ERR: {
    kind: "lane",
    likelyCause: "the peer's side gave the operation up",
    next: lookAtLink,
  },
  IBV_WC_INV_EECN_ERR: {
    kind: "lane",
    likelyCause: "an end-to-end context is unknown; this transport has none",
    next: report,
  },
  IBV_WC_INV_EEC_STATE_ERR: {
    kind: "lane",
    likelyCause: "an end-to-end context is in a wrong state; this transport has none",
    next: report,
  },
  IBV_WC_FATAL_ERR: {
    kind: "lane",
    likelyCause: "the NIC or its driver failed for good",
    next: "see dmesg; the device may need a reset",
  },
  IBV_WC_RESP_TIMEOUT_ERR: {
    kind: "lane",
    likelyCause: "the peer's answer did not come in time",
    next: lookAtLink,
  },
  IBV_WC_GENERAL_ERR: {
    kind: "lane",
    likelyCause: "the NIC names no cause; the vendor's code may",
    next: "see dmesg",
  },
  IBV_WC_TM_ERR: {
    kind: "local",
    likelyCause: "tag matching failed; this transport uses none",
    next: report,
  },
  IBV_WC_TM_RNDV_INCOMPLETE: {
    kind: "local",
    likelyCause: "tag matching only; this transport uses none",
    next: report,
  },
}

const names = new Map<number, string>(
  Object.entries(abi)
    .filter(([name]) => name === "IBV_WC_SUCCESS" || Object.hasOwn(meanings, name))
    .map(([name, status]) => [status, name]),
)

/** The header's name of a status, or its number for one that is newer than our table. */
export function statusName(status: number): string {
  return names.get(status) ?? `status ${status}`
}

/**
 * What a completion error means for the work it ended.
 *
 * @param status `ibv_wc.status`, not 0. One that we do not know is the lane's: another lane may carry the work.
 * @param vendorCode `ibv_wc.vendor_err`; its meaning is the NIC's.
 * @see ibv_poll_cq(3)
 */
export function statusFailure(status: number, vendorCode: number, what: PostedWork): CompletionFailure {
  const name = statusName(status)
  const known = Object.hasOwn(meanings, name) ? meanings[name] : undefined
  const { kind, likelyCause, next } = known ?? {
    kind: "lane",
    likelyCause: "this status is newer than what we know",
    next: "see ibv_wc_status in the installed infiniband/verbs.h",
  }
  // A notice touches no memory of the peer: it cannot be refused for a key, only by a queue pair that does not fit.
  if (what === "notice" && (kind === "refused" || kind === "local")) {
    return {
      kind: "lane",
      status: name,
      vendorCode,
      likelyCause: "the queue pair does not take notices: the two ends do not fit",
      next,
    }
  }
  return { kind, status: name, vendorCode, likelyCause, next }
}
