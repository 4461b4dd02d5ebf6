import type { FabricProvider } from "../../config/rdma-settings.ts"
import { libfabricAbi as abi } from "../../os/ffi/libfabric-abi.ts"

/** What we know of one provider of libfabric, and it does not say itself. */
export interface ProviderTraits {
  /** What libfabric may call its answer to the name that we ask for. */
  readonly names: readonly string[]
  /** Bits of `fi_domain_attr.mr_mode` that it is offered. */
  readonly mrModes: number
  /** True when an endpoint listens on an address of ours; else it has a NIC, or a name of its own. */
  readonly listensOnHost: boolean
  /** True when each rail is a NIC of its own; else rails are endpoints over one and the same way. */
  readonly railIsNic: boolean
  /** True when the owner's side looks at the key of each request, and registering costs nothing. */
  readonly checksKeys: boolean
  /** True when the caller's own processor copies inside `fi_read` and `fi_write`: the bytes are there when they return. */
  readonly copiesInCall: boolean
  /**
   * The name under which an endpoint must not be closed while it has requests under way.
   *
   * ofi_rxm over tcp of libfabric 1.17 frees a half-received answer twice then, and crashes. Its sockets are ended
   * first: it takes that as a peer that is gone, and reports every request.
   */
  readonly crashesWhenClosed?: string
  /** True when its completion queues have a descriptor to wait on. Else its rails look again and again. */
  readonly waits: boolean
  /** What bytes move over, for people. */
  readonly medium: string
}

const nic = {
  mrModes: abi.FI_MR_LOCAL | abi.FI_MR_VIRT_ADDR | abi.FI_MR_ALLOCATED | abi.FI_MR_PROV_KEY,
  listensOnHost: false,
  railIsNic: true,
  checksKeys: false,
  copiesInCall: false,
} as const

/**
 * The providers that are taken, by the names that a policy uses.
 *
 * `FI_MR_RAW`, `FI_MR_ENDPOINT` and `FI_MR_HMEM` are offered to none: the first has keys longer than a descriptor holds,
 * the second binds a region to one endpoint, the third is for memory of accelerators. A provider that insists on one
 * answers with nothing.
 */
export const providers: Readonly<Record<FabricProvider, ProviderTraits>> = {
  efa: { ...nic, names: ["efa"], waits: false, medium: "Amazon's Elastic Fabric Adapter" },
  "verbs;ofi_rxm": { ...nic, names: ["verbs;ofi_rxm"], waits: true, medium: "RDMA NICs" },
  tcp: {
    // 1.17 stacks ofi_rxm upon it, later versions have an RDM endpoint of its own.
    names: ["tcp", "tcp;ofi_rxm"],
    mrModes: abi.FI_MR_LOCAL,
    listensOnHost: true,
    railIsNic: false,
    checksKeys: true,
    copiesInCall: false,
    crashesWhenClosed: "tcp;ofi_rxm",
    waits: true,
    medium: "TCP sockets",
  },
  shm: {
    names: ["shm"],
    // With virtual addresses it copies at once with process_vm_readv. Without, the peer's processor would do it, at some
    // later time: a peer that was stopped could write into memory of ours that is somebody else's by then.
    mrModes: abi.FI_MR_LOCAL | abi.FI_MR_VIRT_ADDR,
    listensOnHost: false,
    railIsNic: false,
    checksKeys: false,
    copiesInCall: true,
    waits: false,
    medium: "the kernel's copy between processes of one machine",
  },
}

/** The bits of a registration mode by their names. */
export function mrModeNames(mode: number): string {
  const names = [
    [abi.FI_MR_LOCAL, "FI_MR_LOCAL"],
    [abi.FI_MR_VIRT_ADDR, "FI_MR_VIRT_ADDR"],
    [abi.FI_MR_ALLOCATED, "FI_MR_ALLOCATED"],
    [abi.FI_MR_PROV_KEY, "FI_MR_PROV_KEY"],
  ] as const
  const set = names.filter(([bit]) => (mode & bit) !== 0).map(([, name]) => name)
  return set.length === 0 ? "none" : set.join(" | ")
}
