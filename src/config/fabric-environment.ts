import { honoured, readBy, unread, type VariableUse } from "./variable.ts"

/** What we say of one variable of libfabric or rdma-core, and what we do about it. */
export interface FabricVariable {
  readonly name: string
  readonly of: "libfabric" | "rdma-core" | "nobody"
  readonly use: VariableUse
  /** The value that serves this program best; absent: leave it unset. */
  readonly recommended?: string
  /** We set it to that before libfabric is opened, unless it is set already. */
  readonly ours: boolean
  /** Why, or what it does where it is left alone. */
  readonly reason: string
  /** The file of its own program that reads it, from its root. */
  readonly source: string
}

interface Advice {
  readonly recommended?: string
  readonly ours?: true
  readonly use?: VariableUse
  readonly source?: string
}

const env = "prov/efa/src/efa_env.c"
const rdma = "prov/efa/src/rdm/efa_rdm_util.c"
const monitors = "prov/util/src/util_mem_monitor.c"
const fork = "prov/efa/src/efa_fork_support.c"

const libfabric = (name: string, reason: string, advice: Advice = {}): FabricVariable => ({
  name,
  of: "libfabric",
  use: readBy("libfabric"),
  ours: false,
  reason,
  source: env,
  ...advice,
})
const rdmaCore = (name: string, reason: string, advice: Advice = {}): FabricVariable => ({
  ...libfabric(name, reason, { use: readBy("libibverbs"), source: "libibverbs/init.c", ...advice }),
  of: "rdma-core",
})
const nobody = (name: string, reason: string, instead?: string): FabricVariable => ({
  ...libfabric(name, reason, { use: unread(instead), source: "not in libfabric's sources" }),
  of: "nobody",
})

/**
 * The environment of EFA, and of libfabric and rdma-core around it: what we recommend, why, who reads it, and what we
 * set ourselves before the library is opened.
 *
 * @see https://github.com/ofiwg/libfabric at af8ddbe9 (after v2.6.0, 2026-08-21) and
 * https://github.com/linux-rdma/rdma-core at 691953d8 (2026-08-20); evidence level: source.
 */
export const fabricEnvironment: readonly FabricVariable[] = [
  libfabric(
    "FI_PROVIDER",
    "each request to libfabric names its provider (--fabric-provider); others are not even initialised: they cost time, and those for PSM take over a crash's signals. Your own list is honoured as --fabric-provider, too",
    {
      use: honoured("fabricProviders"),
      recommended: "efa,verbs,ofi_rxm,tcp,shm",
      ours: true,
      source: "src/fabric.c",
    },
  ),
  libfabric(
    "FI_EFA_USE_DEVICE_RDMA",
    "asked with version 1.18 or newer, libfabric takes what the device can. 1 ends the process by abort() where the device has no RDMA read; 0 lets the processor emulate every read and write",
    { source: rdma },
  ),
  libfabric(
    "FI_EFA_ENABLE_SHM_TRANSFER",
    "else what is called efa goes over shared memory between processes of one machine; there we have shm and cma, by name",
    { recommended: "0", ours: true },
  ),
  nobody("FI_EFA_ENABLE_SHM", "a wrong spelling that is passed around", "FI_EFA_ENABLE_SHM_TRANSFER"),
  libfabric(
    "FI_HMEM",
    "we move host memory: no GPU's driver is started inside this process. Libfabric older than 1.20 does not read it",
    { recommended: "system", ours: true, source: "src/hmem.c" },
  ),
  libfabric(
    "FI_HMEM_DISABLE_P2P",
    "it is about memory of devices, which it forces through host memory. EFA does not need it, and for host memory nothing changes",
    { source: "src/hmem.c" },
  ),
  libfabric(
    "FI_MR_CACHE_MONITOR",
    "pools are registered once and explicitly, which no cache is for; and its memhooks would patch munmap and its like under V8",
    { recommended: "disabled", ours: true, source: monitors },
  ),
  libfabric("FI_MR_CACHE_MAX_COUNT", "for the same reason; 0 switches the cache off", {
    recommended: "0",
    ours: true,
    source: monitors,
  }),
  libfabric("FI_EFA_MR_CACHE_ENABLE", "without effect on explicit registrations"),
  libfabric(
    "FI_EFA_FORK_SAFE",
    "on kernels before 5.13 a process that has opened EFA is ended by abort() when it starts a child. Costs EFA's own buffers their huge pages there, and memory in huge pages cannot be registered; no effect on newer kernels",
    { recommended: "1", ours: true, source: fork },
  ),
  rdmaCore(
    "RDMAV_FORK_SAFE",
    "the same of rdma-core: before 5.13, a child's copy-on-write takes registered pages away from the NIC. Before rdma-core 40, and for EFA, 0 is on as well: being set is what counts",
    { recommended: "1", ours: true },
  ),
  rdmaCore("IBV_FORK_SAFE", "an older name of RDMAV_FORK_SAFE"),
  rdmaCore(
    "RDMAV_HUGEPAGES_SAFE",
    "makes fork safety hold for huge pages too, at a high price for each registration; EFA does not open with it while fork safety is on",
    { source: "libibverbs/memory.c" },
  ),
  libfabric(
    "FI_EFA_USE_HUGE_PAGE",
    "EFA decides. 1 together with fork safety ends the process by abort() on kernels before 5.13",
  ),
  libfabric(
    "FI_EFA_TX_SIZE",
    "the device's own depth (4096 on p5, 2048 on p6-b300). Above it requests are queued in software, not sent sooner",
  ),
  libfabric("FI_EFA_RX_SIZE", "one-sided reads and writes post no receives"),
  libfabric("FI_EFA_CQ_SIZE", "libfabric takes the sum of both depths, and 8192 at least"),
  libfabric("FI_EFA_TX_QUEUE_SIZE", "the device's own depth; it may not be more"),
  libfabric("FI_EFA_TX_MIN_CREDITS", "for messages; 0 or less ends the process by abort()"),
  libfabric(
    "FI_EFA_IFACE",
    "--devices does it, and the receipt shows it; an empty value ends the process by abort()",
  ),
  libfabric("FI_EFA_USE_UNSOLICITED_WRITE_RECV", "takes writes with data without a posted receive"),
  libfabric("FI_EFA_USE_DATA_PATH_DIRECT", "posts and polls without rdma-core in between"),
  libfabric("FI_EFA_INTER_MIN_READ_WRITE_SIZE", "for emulated writes only"),
  libfabric(
    "FI_EFA_TRACK_MR",
    "1 warns when a region is closed under work that still uses it: for finding faults",
  ),
  libfabric("FI_LOG_LEVEL", "warn, trace, info or debug, on standard error", { source: "src/log.c" }),
  libfabric("FI_LOG_PROV", "whose lines FI_LOG_LEVEL shows", { source: "src/log.c" }),
  libfabric("FI_FORK_UNSAFE", "yes gives up what FI_EFA_FORK_SAFE is for", { source: "src/fabric.c" }),
  libfabric("FI_VERBS_GID_IDX", "set to --gid-index, where that is given, for verbs;ofi_rxm", {
    source: "prov/verbs/src/verbs_init.c",
  }),
  libfabric("FI_EFA_MTU_SIZE", "withdrawn: libfabric ends the process by abort() where it is set"),
  libfabric("FI_EFA_TX_IOV_LIMIT", "withdrawn: libfabric ends the process by abort() where it is set"),
  libfabric("FI_EFA_RX_IOV_LIMIT", "withdrawn: libfabric ends the process by abort() where it is set"),
  libfabric("FI_EFA_SET_CUDA_SYNC_MEMOPS", "withdrawn, without effect", { use: unread() }),
  libfabric("FI_EFA_SHM_MAX_MEDIUM_SIZE", "withdrawn, without effect", { use: unread() }),
  libfabric("FI_EFA_ZCPY_RX_SEED", "withdrawn, without effect", { use: unread() }),
  {
    ...libfabric("FI_EFA_RX_WINDOW_SIZE", "in the manual page, and read by no line of the source", {
      use: unread(),
      source: "man/fi_efa.7.md",
    }),
  },
]
