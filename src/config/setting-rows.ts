import type { RdmaSettings, SettingKey } from "./rdma-settings.ts"
import * as read from "./value-readers.ts"

/** A setting: how it is called on the command line and in the environment, and how each of its texts is read. */
export interface SettingRow<Key extends SettingKey = SettingKey> {
  readonly key: Key
  /** The paths that it means something to. */
  readonly paths: readonly string[]
  /** The option, without its dashes; undefined where there is a variable alone. */
  readonly option?: string
  /** The option's argument, for its help. */
  readonly argument?: string
  /** Our own variable. */
  readonly variable: string
  /** Other programs' variables that fill it, the first that is set before the others. */
  readonly others: readonly { readonly name: string; readonly read: read.Reader<Filled<Key>> }[]
  readonly read: read.Reader<Filled<Key>>
  readonly meaning: string
  /** What holds where nobody says anything and there is no default. */
  readonly absent?: string
}

type Filled<Key extends SettingKey> = NonNullable<RdmaSettings[Key]>
type Row = { readonly [Key in SettingKey]-?: SettingRow<Key> }[SettingKey]

/** Registrations at once that may be asked for; Mooncake's 0 stands for it. */
const registrationsMax = 64

/** Every setting of RDMA, in the order in which they are shown. */
export const settingRows: readonly Row[] = [
  {
    key: "devices",
    paths: ["verbs", "libfabric"],
    option: "devices",
    argument: "list",
    variable: "KVFERRY_DEVICES",
    others: [
      { name: "MC_TE_FILTERS", read: read.deviceNames },
      { name: "MC_MS_FILTERS", read: read.deviceNames },
    ],
    read: read.deviceNames,
    meaning: "NICs to use, in the order of the rails",
    absent: "all that work and suit",
  },
  {
    key: "excludedDevices",
    paths: ["verbs", "libfabric"],
    variable: "KVFERRY_EXCLUDED_DEVICES",
    others: [{ name: "MC_TE_FILTERS_EXCLUDE", read: read.deviceNames }],
    read: read.deviceNames,
    meaning: "NICs that are not used",
  },
  {
    key: "cpus",
    paths: ["verbs", "libfabric"],
    option: "cpus",
    argument: "list",
    variable: "KVFERRY_CPUS",
    others: [],
    read: read.processors,
    meaning: "processors for the rails' threads, in the order of the rails",
    absent: "the scheduler's choice",
  },
  {
    key: "numa",
    paths: ["verbs", "libfabric"],
    option: "numa",
    argument: "node",
    variable: "KVFERRY_NUMA",
    others: [],
    read: read.whole(0, 1023),
    meaning: "NUMA node of the NICs and of the pools' memory",
    absent: "any",
  },
  {
    key: "port",
    paths: ["verbs"],
    variable: "KVFERRY_IB_PORT",
    others: [{ name: "MC_IB_PORT", read: read.whole(1, 255) }],
    read: read.whole(1, 255),
    meaning: "port of each NIC, from 1",
    absent: "the first active one",
  },
  {
    key: "gidIndex",
    paths: ["verbs", "libfabric"],
    option: "gid-index",
    argument: "n",
    variable: "KVFERRY_GID_INDEX",
    others: [
      { name: "MC_GID_INDEX", read: read.wholeOrNoChoice(0, 255) },
      { name: "NCCL_IB_GID_INDEX", read: read.wholeOrNoChoice(0, 255) },
    ],
    read: read.whole(0, 255),
    meaning: "row of the port's GID table",
    absent: "RoCE v2 over IPv4 before IPv6",
  },
  {
    key: "pkeyIndex",
    paths: ["verbs"],
    variable: "KVFERRY_PKEY_INDEX",
    others: [{ name: "MC_PKEY_INDEX", read: read.whole(0, 65_535) }],
    read: read.whole(0, 65_535),
    meaning: "row of the port's partition key table",
  },
  {
    key: "trafficClass",
    paths: ["verbs"],
    variable: "KVFERRY_TRAFFIC_CLASS",
    others: [{ name: "MC_IB_TC", read: read.wholeOrNoChoice(0, 255) }],
    read: read.whole(0, 255),
    meaning: "traffic class of RoCE's packets",
  },
  {
    key: "serviceLevel",
    paths: ["verbs"],
    variable: "KVFERRY_SERVICE_LEVEL",
    others: [{ name: "MC_IB_SL", read: read.wholeOrNoChoice(0, 15) }],
    read: read.whole(0, 15),
    meaning: "service level of the packets",
  },
  {
    key: "pathMtu",
    paths: ["verbs"],
    variable: "KVFERRY_PATH_MTU",
    others: [{ name: "MC_MTU", read: pathMtu }],
    read: pathMtu,
    meaning: "most payload of a packet, in bytes; the ports' own limit holds as well",
  },
  {
    key: "relaxedOrdering",
    paths: ["verbs"],
    option: "relaxed-ordering",
    argument: "mode",
    variable: "KVFERRY_RELAXED_ORDERING",
    others: [{ name: "MC_IB_PCI_RELAXED_ORDERING", read: read.mooncakeOrdering }],
    read: read.oneOf("off", "on", "auto"),
    meaning: "PCIe relaxed ordering: off; on, or not at all; auto, where it can be had",
  },
  {
    key: "sliceBytes",
    paths: ["verbs", "libfabric"],
    option: "slice-bytes",
    argument: "bytes",
    variable: "KVFERRY_SLICE_BYTES",
    others: [{ name: "MC_SLICE_SIZE", read: read.bytesBetween(4096, 2 ** 30) }],
    read: read.bytesBetween(4096, 2 ** 30),
    meaning: "longer pieces are cut, so that several rails share one",
  },
  {
    key: "queueDepth",
    paths: ["verbs", "libfabric"],
    variable: "KVFERRY_QUEUE_DEPTH",
    others: [{ name: "MC_MAX_WR", read: read.whole(1, 65_535) }],
    read: read.whole(1, 65_535),
    meaning: "work requests outstanding on a lane, at most 256; the device's own limit holds as well",
  },
  {
    key: "parallelRegistration",
    paths: ["verbs", "libfabric"],
    variable: "KVFERRY_PARALLEL_REGISTRATION",
    others: [{ name: "MC_ENABLE_PARALLEL_REG_MR", read: read.mooncakeParallel }],
    read: (text) => read.oneOf("on", "off")(text) === "on",
    meaning: "registers memory on several rails at once",
  },
  {
    key: "maxConcurrentRegistrations",
    paths: ["verbs", "libfabric"],
    option: "max-concurrent-registrations",
    argument: "n",
    variable: "KVFERRY_MAX_CONCURRENT_REGISTRATIONS",
    others: [{ name: "MC_MAX_CONCURRENT_REG_MR", read: mooncakeRegistrations }],
    read: read.whole(1, registrationsMax),
    meaning: "registrations under way at once, over all rails",
  },
  {
    key: "railWeights",
    paths: ["verbs", "libfabric"],
    option: "rail-weights",
    argument: "list",
    variable: "KVFERRY_RAIL_WEIGHTS",
    others: [],
    read: read.railWeights,
    meaning: "share of each NIC: mlx5_0=2,mlx5_1=1",
    absent: "by line rate, else equal",
  },
  {
    key: "fabricProviders",
    paths: ["libfabric"],
    option: "fabric-provider",
    argument: "list",
    variable: "KVFERRY_FABRIC_PROVIDER",
    others: [{ name: "FI_PROVIDER", read: read.fabricFilter }],
    read: read.fabricProviders,
    meaning: "what libfabric is asked for, best first: efa, verbs;ofi_rxm, tcp, shm",
  },
  {
    key: "nixlLibrary",
    paths: ["nixl"],
    option: "nixl-lib",
    argument: "file",
    variable: "KVFERRY_NIXL_LIB",
    others: [],
    read: read.filePath,
    meaning: "NIXL's C library",
    absent: "that of an installed Python wheel",
  },
  {
    key: "nixlBackend",
    paths: ["nixl"],
    variable: "KVFERRY_NIXL_BACKEND",
    others: [{ name: "NIXL_BACKEND", read: read.backendName }],
    read: read.backendName,
    meaning: "the backend that NIXL is asked for",
  },
]

function pathMtu(text: string): RdmaSettings["pathMtu"] {
  const value = ([512, 1024, 2048, 4096] as const).find((bytes) => `${bytes}` === text.trim())
  if (value !== undefined) return value
  throw new read.Unfit("512, 1024, 2048 or 4096")
}

function mooncakeRegistrations(text: string): number | undefined {
  const asked = read.whole(0, 1_000_000)(text)
  return asked === undefined || asked === 0 ? registrationsMax : Math.min(asked, registrationsMax)
}
