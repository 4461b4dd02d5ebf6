import { honoured, readBy, type Variable, type VariableUse } from "./variable.ts"

const nixl = (name: string, use: VariableUse, meaning: string, source: string): Variable => ({
  name,
  of: "NIXL",
  use,
  meaning,
  source,
})
const ucx = (name: string, meaning: string, source = "src/ucp/core/ucp_context.c"): Variable => ({
  name,
  of: "UCX",
  use: readBy("UCX"),
  meaning,
  source,
})
const metadata = "src/core/nixl_md_manager.cpp"
const bandwidth = "src/plugins/libfabric/README.md"

/**
 * NIXL's variables, and those of UCX below it that users set most. The path `nixl` opens both.
 *
 * @see https://github.com/ai-dynamo/nixl at 8770b655 (2026-08-21), https://github.com/openucx/ucx at 9466d104
 * (2026-08-21); paths are from their roots.
 */
export const nixlVariables: readonly Variable[] = [
  {
    name: "NIXL_BACKEND",
    of: "nobody",
    use: honoured("nixlBackend"),
    meaning: "read by some programs around NIXL, and by no file of NIXL itself; here it names the backend",
    source: "not in NIXL's sources",
  },
  nixl("NIXL_PLUGIN_DIR", readBy("NIXL"), "folder of the backends", "src/core/nixl_plugin_manager.cpp"),
  nixl("NIXL_CONFIG_FILE", readBy("NIXL"), "settings file", "src/utils/common/configuration.cpp"),
  nixl(
    "NIXL_LOG_LEVEL",
    readBy("NIXL"),
    "TRACE, DEBUG, INFO, WARN, ERROR or FATAL",
    "src/utils/common/nixl_log.cpp",
  ),
  nixl(
    "NIXL_LIBFABRIC_MAX_BW_PER_DRAM_SEG",
    readBy("NIXL"),
    "Gbit/s of a registration of host memory",
    bandwidth,
  ),
  nixl("NIXL_TELEMETRY_ENABLE", readBy("NIXL"), "counters of its own", "src/core/nixl_agent.cpp"),
  nixl(
    "NIXL_UCX_SGL_ENABLE",
    readBy("NIXL"),
    "scatter lists of the UCX backend",
    "src/plugins/ucx/ucx_backend.cpp",
  ),
  nixl(
    "NIXL_UCX_DEEPBIND",
    readBy("NIXL"),
    "keeps its UCX apart from another one",
    "src/core/nixl_plugin_manager.cpp",
  ),
  nixl(
    "NIXL_UCX_WARNING_TIMEOUT",
    readBy("NIXL"),
    "tells of slow work on a list of memory",
    "src/plugins/ucx/mem_list.cpp",
  ),
  nixl(
    "NIXL_UCX_EXPECTED_SONAME",
    readBy("NIXL"),
    "the UCX that is wanted",
    "src/plugins/ucx/ucx_plugin.cpp",
  ),
  nixl(
    "NIXL_ETCD_ENDPOINTS",
    readBy("NIXL"),
    "metadata by etcd; our agents exchange them themselves",
    metadata,
  ),
  nixl("NIXL_ETCD_NAMESPACE", readBy("NIXL"), "metadata by etcd", "src/core/nixl_etcd_metadata_backend.cpp"),
  nixl(
    "NIXL_TCPSTORE_ENDPOINT",
    readBy("NIXL"),
    "metadata by a store; our agents exchange them themselves",
    metadata,
  ),
  nixl(
    "NIXL_MOONCAKE_IP_ADDR",
    readBy("NIXL"),
    "address of the Mooncake backend",
    "src/plugins/mooncake/mooncake_backend.cpp",
  ),
  nixl(
    "NIXL_DISABLE_CUDA_ADDR_WA",
    readBy("NIXL"),
    "memory of a GPU; we move host memory",
    "src/plugins/libfabric/libfabric_backend.cpp",
  ),
  ucx("UCX_TLS", "transports that UCX may use"),
  ucx("UCX_NET_DEVICES", "NICs that UCX may use: mlx5_0:1,…"),
  ucx("UCX_MAX_RMA_RAILS", "NICs of one get or put; UCX's default is 1, NIXL sets 2"),
  ucx("UCX_KEEPALIVE_INTERVAL", "how often a silent peer is asked"),
  ucx("UCX_PROTO_INFO", "prints which way each size takes"),
  ucx("UCX_IB_GID_INDEX", "row of the GID table", "src/uct/ib/base/ib_md.c"),
  ucx("UCX_IB_PCI_RELAXED_ORDERING", "off, on, try or auto; NIXL sets try", "src/uct/ib/base/ib_md.c"),
]
