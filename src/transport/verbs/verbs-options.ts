import type { RdmaOptions } from "../rdma/rdma-transport.ts"
import type { DeviceName } from "./choose-devices.ts"
import type { GidOverride } from "./choose-gid.ts"
import type { RelaxedOrderingWish } from "./relaxed-ordering.ts"

/** What is written into every packet, and how many requests are on their way. */
export interface VerbsPath {
  /** Row of the port's partition key table. */
  readonly pkeyIndex: number
  /** Of RoCE's packets, 0 to 255. */
  readonly trafficClass: number
  /** 0 to 15. */
  readonly serviceLevel: number
  /** Most payload of a packet in bytes; both ports' own limits hold as well. */
  readonly mtu: 512 | 1024 | 2048 | 4096
  /** Work requests outstanding on a lane; the device's own limit holds as well. */
  readonly queueDepth: number
}

/** What is used where nobody says anything. */
export const plainPath: VerbsPath = {
  pkeyIndex: 0,
  trafficClass: 0,
  serviceLevel: 0,
  mtu: 4096,
  queueDepth: 256,
}

/** How the verbs transport is made. */
export interface VerbsOptions extends RdmaOptions {
  /**
   * Devices by name, one rail for each, in this order. `all`: one rail for each port that is up.
   *
   * When absent as many rails are opened as the endpoint is told, on the ports that are up.
   */
  readonly devices?: readonly DeviceName[] | "all"
  /** Devices that are left out when none are named. */
  readonly excluded?: readonly string[]
  /** Only devices at this NUMA node. */
  readonly numa?: number
  /** Only this port of each device. */
  readonly port?: number
  readonly path?: VerbsPath
  /** Shares of devices, by name; 1 for one without, once any is given. By line rate where that is known, when absent. */
  readonly deviceWeights?: readonly { readonly device: string; readonly weight: number }[]
  /** The GID index for every rail; chosen for each when absent. */
  readonly gid?: GidOverride
  /** Whether regions are registered with relaxed ordering; `auto` when absent. */
  readonly relaxedOrdering?: RelaxedOrderingWish
}
