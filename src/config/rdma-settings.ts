/**
 * Whether regions are registered so that the NIC's writes to them may reach memory in any order: never, only so, or where
 * it can be had.
 */
export type RelaxedOrderingMode = "off" | "on" | "auto"

/** A provider of libfabric, as libfabric itself calls it. */
export type FabricProvider = "efa" | "verbs;ofi_rxm" | "tcp" | "shm"

/** How much of a transfer a NIC takes, relative to the others. */
export interface RailWeight {
  /** The device's name, as `/sys/class/infiniband` has it. */
  readonly device: string
  /** Above 0. */
  readonly weight: number
}

/**
 * What an operator decides of RDMA; plain data, so that it may be sent to a thread.
 *
 * A field that is absent leaves the choice to the transport, which then says what it took and why. Where each value came
 * from is `resolveRdma`'s to tell.
 */
export interface RdmaSettings {
  /** The NICs to use, in the order of the rails. Absent: all that work and suit. */
  readonly devices?: readonly string[]
  /** NICs that are never used. */
  readonly excludedDevices: readonly string[]
  /** Processors for the rails' threads, in the order of the rails. */
  readonly cpus?: readonly number[]
  /** The NUMA node whose NICs are used, and whose memory the pools take. */
  readonly numa?: number
  /** The port of each NIC, from 1. Absent: the first active one. */
  readonly port?: number
  /** Row of the port's GID table. Absent: RoCE v2 over IPv4 before IPv6. */
  readonly gidIndex?: number
  /** Row of the port's partition key table. */
  readonly pkeyIndex: number
  /** Traffic class of RoCE's packets, 0 to 255. */
  readonly trafficClass: number
  /** Service level, 0 to 15. */
  readonly serviceLevel: number
  /** Most payload of a packet, in bytes; the ports' own limits hold as well. */
  readonly pathMtu: 512 | 1024 | 2048 | 4096
  readonly relaxedOrdering: RelaxedOrderingMode
  /** Pieces longer than this are cut, in bytes. */
  readonly sliceBytes: number
  /** Work requests that a lane may have outstanding; the device's own limit holds as well. */
  readonly queueDepth: number
  /** False: one registration after the other. */
  readonly parallelRegistration: boolean
  /** Registrations that may be under way at once, over all rails. */
  readonly maxConcurrentRegistrations: number
  /** Absent: by line rate where the devices tell it, else equal. */
  readonly railWeights?: readonly RailWeight[]
  /** What libfabric is asked for, best first; nothing else is taken. */
  readonly fabricProviders: readonly FabricProvider[]
  /** File of NIXL's C library (`libnixl_capi.so`). Absent: that of an installed Python wheel. */
  readonly nixlLibrary?: string
  /** The backend that NIXL is asked for. */
  readonly nixlBackend: string
  /** Who said so, for messages: the option or the variable of each setting that has one. */
  readonly origins: Readonly<Partial<Record<SettingKey, string>>>
}

/** Everything that can be set. */
export type SettingKey = Exclude<keyof RdmaSettings, "origins">

/** What is used where nobody said anything. */
export const defaultRdmaSettings: RdmaSettings = {
  excludedDevices: [],
  pkeyIndex: 0,
  trafficClass: 0,
  serviceLevel: 0,
  pathMtu: 4096,
  relaxedOrdering: "auto",
  sliceBytes: 1_048_576,
  queueDepth: 256,
  parallelRegistration: true,
  maxConcurrentRegistrations: 8,
  // tcp and shm of libfabric are for whoever asks for them: a fall to them in silence is what a policy is against.
  fabricProviders: ["efa", "verbs;ofi_rxm"],
  nixlBackend: "UCX",
  origins: {},
}

/** Who decided a setting, in a word for messages: `--gid-index`, `MC_GID_INDEX`, or `default`. */
export const originOf = ({ origins }: Pick<RdmaSettings, "origins">, key: SettingKey): string =>
  origins[key] ?? "default"

/** Registrations that may be under way at once, with the switch taken into account. */
export const registrationsAtOnce = (
  settings: Pick<RdmaSettings, "parallelRegistration" | "maxConcurrentRegistrations">,
): number => (settings.parallelRegistration ? settings.maxConcurrentRegistrations : 1)
