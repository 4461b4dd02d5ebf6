import { honoured, unread, type Variable, type VariableUse } from "./variable.ts"

const config = "mooncake-transfer-engine/src/config.cpp"
const engine = "mooncake-transfer-engine/src/transfer_engine_impl.cpp"
const topology = "mooncake-transfer-engine/src/topology.cpp"
const environ = "mooncake-common/src/environ.cpp"
const tent = "mooncake-transfer-engine/tent/src/common/config.cpp"
const tcp = "mooncake-transfer-engine/src/transport/tcp_transport/tcp_transport.cpp"
const session = "mooncake-transfer-engine/src/transport/tcp_transport/tcp_transport_session_impl.h"
const chooser = "mooncake-transfer-engine/src/transfer_engine.cpp"

const of =
  (source: string) =>
  (name: string, use: VariableUse, meaning: string): Variable => ({
    name,
    of: "Mooncake",
    use,
    meaning,
    source,
  })
const [fromConfig, fromEngine, fromTopology, fromEnviron, fromTent, fromTcp] = [
  of(config),
  of(engine),
  of(topology),
  of(environ),
  of(tent),
  of(tcp),
]

/**
 * Mooncake's variables that decide how bytes move. Those of its store, its metadata servers and other vendors' devices
 * have no counterpart in a machine's RDMA and are left out.
 *
 * @see https://github.com/kvcache-ai/Mooncake at 3b5a5941 (2026-08-22); paths are from its root.
 */
export const mooncakeVariables: readonly Variable[] = [
  fromConfig(
    "MC_IB_PCI_RELAXED_ORDERING",
    honoured("relaxedOrdering"),
    "0: off. 1 and 2: where it is supported, which is our auto. Mooncake's default was 0 at first, and is 1 since 2026-07-31 (#3205); ours is auto",
  ),
  fromConfig("MC_GID_INDEX", honoured("gidIndex"), "row of the GID table; it goes before NCCL_IB_GID_INDEX"),
  {
    name: "NCCL_IB_GID_INDEX",
    of: "NCCL",
    use: honoured("gidIndex"),
    meaning: "the same, as Mooncake takes it over from NCCL; -1 leaves the choice",
    source: config,
  },
  fromConfig("MC_IB_PORT", honoured("port"), "port of each NIC, from 1"),
  fromConfig("MC_IB_TC", honoured("trafficClass"), "traffic class of the packets; -1 leaves it at 0"),
  fromConfig("MC_IB_SL", honoured("serviceLevel"), "service level; -1 leaves it at 0"),
  fromConfig("MC_PKEY_INDEX", honoured("pkeyIndex"), "row of the partition key table"),
  fromConfig("MC_MTU", honoured("pathMtu"), "512, 1024, 2048 or 4096 bytes"),
  fromConfig("MC_MAX_WR", honoured("queueDepth"), "outstanding work requests of a queue pair"),
  fromConfig("MC_SLICE_SIZE", honoured("sliceBytes"), "bytes; Mooncake's default is 65536, ours is 1048576"),
  fromConfig(
    "MC_ENABLE_PARALLEL_REG_MR",
    honoured("parallelRegistration"),
    "0: one after the other. 1: in parallel. -1: Mooncake decides; ours is parallel",
  ),
  fromConfig(
    "MC_MAX_CONCURRENT_REG_MR",
    honoured("maxConcurrentRegistrations"),
    "0 is no limit in Mooncake; here it is the highest limit, 64",
  ),
  fromTopology("MC_TE_FILTERS", honoured("devices"), "the only NICs that are used, by name"),
  fromTent("MC_TE_FILTERS_EXCLUDE", honoured("excludedDevices"), "NICs that are not used, by name"),
  {
    name: "MC_MS_FILTERS",
    of: "Mooncake",
    use: honoured("devices"),
    meaning: "the same for Mooncake's store; MC_TE_FILTERS goes before it",
    source: "mooncake-store/src/client_service.cpp",
  },
  fromEngine("MC_FORCE_TCP", unread("--paths tcp"), "Mooncake then moves everything over TCP"),
  fromEngine("MC_FORCE_HCA", unread("--require verbs"), "Mooncake then takes RDMA also without a GPU"),
  fromEngine("MC_FORCE_MNNVL", unread(), "NVLink between machines"),
  fromEngine("MC_INTRANODE_NVLINK", unread(), "NVLink inside a machine"),
  fromEngine("MC_CUSTOM_TOPO_JSON", unread("--devices, --numa"), "file with the NICs of each memory"),
  of(chooser)("MC_USE_TENT", unread(), "chooses between Mooncake's two engines"),
  of(chooser)("MC_USE_TEV1", unread(), "chooses between Mooncake's two engines"),
  fromTent(
    "MC_TENT_CONF",
    unread("options, or the variables of kvferry config show"),
    "Mooncake's settings file",
  ),
  fromTent("MC_DISABLE_GPU_DIRECT_RDMA", unread(), "memory of a GPU; we move host memory"),
  fromTopology("MC_PATH_ROUNDROBIN", unread("--rail-weights"), "takes the NICs in turn; we deal by weight"),
  fromConfig("MC_ENABLE_DEST_DEVICE_AFFINITY", unread(), "same-named NICs; here any rail talks to any rail"),
  fromConfig("MC_ENABLE_HCA_PEER_AFFINITY", unread(), "pairs of NICs; here any rail talks to any rail"),
  fromConfig("MC_NIC_PEER_AFFINITY", unread(), "pairs of NICs; here any rail talks to any rail"),
  fromConfig(
    "MC_NUM_QP_PER_EP",
    unread(),
    "queue pairs of a pair of NICs; here it is one, of KVFERRY_QUEUE_DEPTH requests",
  ),
  fromConfig("MC_NUM_CQ_PER_CTX", unread(), "completion queues of a NIC; here it is one for each rail"),
  fromConfig("MC_NUM_COMP_CHANNELS_PER_CTX", unread(), "completion channels of a NIC; here it is one"),
  fromConfig("MC_MAX_CQE_PER_CTX", unread(), "depth of the completion queue; here it follows the lanes"),
  fromConfig("MC_MAX_EP_PER_CTX", unread(), "endpoints of a NIC; here it follows the peers"),
  fromConfig("MC_ENDPOINT_STORE_TYPE", unread(), "which endpoint is given up first; here none is"),
  fromConfig("MC_MAX_SGE", unread(), "parts of a work request; here it is one"),
  fromConfig("MC_MAX_INLINE", unread(), "bytes inside a work request; a cache has none so small"),
  fromConfig("MC_MAX_MR_SIZE", unread(), "largest registration; here the device's own limit holds"),
  fromConfig("MC_WORKERS_PER_CTX", unread(), "threads of a NIC; here it is one for each rail"),
  fromConfig("MC_FRAGMENT_RATIO", unread("--slice-bytes"), "how small the last slice may be"),
  fromConfig(
    "MC_RETRY_CNT",
    unread(),
    "attempts over other NICs; here a piece goes on over every rail that is left",
  ),
  fromConfig(
    "MC_SLICE_TIMEOUT",
    unread("--timeout"),
    "seconds of a slice; here every transfer has a deadline",
  ),
  fromConfig("MC_RDMA_RAIL_PAUSE_SECONDS", unread(), "how long a bad NIC is left alone"),
  fromConfig("MC_CONN_PAUSE_TTL_MS", unread(), "how long a dead peer is left alone"),
  fromConfig("MC_AUTO_GID_MAX_RETRIES", unread("--gid-index"), "attempts to find a GID"),
  fromConfig("MC_MLX5_QP_UDP_SPORTS", unread(), "source ports, to spread over equal routes"),
  fromConfig("MC_MLX5_QP_LAG_PORT_BALANCE", unread(), "spreads over the ports of a bond"),
  fromConfig("MC_EFA_NIC_SELECTION", unread("--devices, --numa"), "all NICs, or those beside the GPU"),
  fromEnviron("MC_EFA_CQ_THREADS", unread(), "threads that poll; here it is one for each rail"),
  fromConfig("MC_LOG_RDMA_SLICE_AFFINITY", unread("the receipt: bytes by rail"), "tells each slice's NIC"),
  fromConfig("MC_TRACK_RDMA_POSTED_SLICES", unread(), "looks for lost slices"),
  fromConfig("MC_LOG_LEVEL", unread(), "Mooncake's log"),
  fromConfig("MC_LOG_DIR", unread("--receipts"), "Mooncake's log"),
  fromConfig("MC_HANDSHAKE_PORT", unread("--agent-port"), "where a peer is asked for its addresses"),
  fromConfig("MC_HANDSHAKE_CONNECT_TIMEOUT", unread("--timeout"), "seconds until a peer has answered"),
  fromConfig("MC_HANDSHAKE_LISTEN_BACKLOG", unread(), "callers that wait"),
  fromConfig("MC_MIN_RPC_PORT", unread("--agent-port"), "lowest port"),
  fromConfig("MC_MAX_RPC_PORT", unread("--agent-port"), "highest port"),
  fromConfig("MC_USE_IPV6", unread("--host"), "listens on IPv6; here an address says it itself"),
  fromConfig("MC_DISABLE_METACACHE", unread(), "memory of peers; here a card is read at each connect"),
  fromTent("MC_RDMA_BIND_ADDRESS", unread("--host"), "address of the handshake"),
  fromEngine("MC_TCP_BIND_ADDRESS", unread("--host"), "address of the streams"),
  fromTcp("MC_TCP_LANES_PER_PEER", unread("--rails"), "streams to a peer"),
  of(session)("MC_TCP_SLICE_SIZE", unread(), "slices of the streams"),
  {
    name: "MC_TRANSFER_TIMEOUT",
    of: "Mooncake",
    use: unread("--timeout"),
    meaning: "seconds of a transfer, at least 5 there",
    source: "mooncake-integration/transfer_engine/transfer_engine_py.cpp",
  },
  fromEnviron("WITH_NVIDIA_PEERMEM", unread(), "how memory of a GPU is registered; we move host memory"),
]
