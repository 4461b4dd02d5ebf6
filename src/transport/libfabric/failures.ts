import type { FabricFailure } from "../../os/libfabric/completion-queue.ts"
import type { WorkFailure } from "../rdma/driver.ts"

type Meaning = Pick<WorkFailure, "kind" | "likelyCause">

const refused = "the peer closed the region, or registered it for less than is asked of it"
const gone = "the peer's process ended or is stopped, or the network between is cut"

/**
 * The statuses of a verbs completion, as `verbs;ofi_rxm` hands them through in `prov_errno`.
 * @see ibv_poll_cq(3); prov/verbs/src/verbs_cq.c of libfabric
 */
const verbsStatuses: Readonly<Record<number, Meaning>> = {
  2: { kind: "lane", likelyCause: "the local port went down, or the queue pair was not ready to send" },
  4: { kind: "local", likelyCause: "this side's region was closed under the transfer" },
  5: { kind: "flushed", likelyCause: "it stood behind a request that failed" },
  9: { kind: "refused", likelyCause: refused },
  10: { kind: "refused", likelyCause: refused },
  11: { kind: "refused", likelyCause: "the peer's NIC could not carry the request out" },
  12: { kind: "lane", likelyCause: gone },
  13: { kind: "lane", likelyCause: "the peer has posted no receive buffer in time" },
}

/** The statuses of an EFA completion. @see prov/efa/src/efa_errno.h of libfabric */
const efaStatuses: Readonly<Record<number, Meaning>> = {
  1: { kind: "flushed", likelyCause: "the queue pair was destroyed" },
  5: { kind: "local", likelyCause: "this side's region was closed under the transfer" },
  6: { kind: "local", likelyCause: "the request is longer than the NIC takes" },
  7: { kind: "refused", likelyCause: refused },
  8: { kind: "lane", likelyCause: "the peer reset the connection" },
  9: { kind: "lane", likelyCause: "the peer's queue pair is gone: its process ended or restarted" },
  13: { kind: "lane", likelyCause: gone },
  14: { kind: "lane", likelyCause: "the peer does not know this side's address" },
  15: {
    kind: "lane",
    likelyCause: "the peer never answered: its security group must allow all traffic to and from itself",
  },
  4111: { kind: "refused", likelyCause: refused },
  4127: {
    kind: "refused",
    likelyCause: "the peer closed its region or endpoint in the middle of the transfer",
  },
}

/** libfabric's own error numbers, for providers that say no more. Those below 256 are the system's. */
const generalErrors: Readonly<Record<number, Meaning>> = {
  1: { kind: "refused", likelyCause: "the kernel does not let this process copy from the peer (ptrace)" },
  3: { kind: "lane", likelyCause: "the peer's process has ended" },
  13: { kind: "refused", likelyCause: refused },
  14: { kind: "refused", likelyCause: "the peer's memory is not mapped any more" },
  104: { kind: "lane", likelyCause: gone },
  125: { kind: "flushed", likelyCause: "its endpoint was closed, or the connection under it broke" },
}

/** What a failed request means to its move and its lane. */
export function failureOf(
  provider: string,
  failure: Pick<FabricFailure, "error" | "providerError" | "words">,
): WorkFailure {
  const statuses = provider.startsWith("efa")
    ? efaStatuses
    : provider.startsWith("verbs")
      ? verbsStatuses
      : undefined
  const meaning = statuses?.[failure.providerError] ??
    generalErrors[failure.error] ?? { kind: "lane", likelyCause: gone }
  return { ...meaning, status: failure.words, vendorCode: failure.providerError }
}
