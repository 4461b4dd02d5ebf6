import type { RdmaOptions } from "../rdma/rdma-transport.ts"
import type { DeviceName } from "./choose-devices.ts"
import type { GidOverride } from "./choose-gid.ts"
import type { RelaxedOrderingWish } from "./relaxed-ordering.ts"

/** How the verbs transport is made. */
export interface VerbsOptions extends RdmaOptions {
  /**
   * Devices by name, one rail for each, in this order. `all`: one rail for each port that is up.
   *
   * When absent as many rails are opened as the endpoint is told, on the ports that are up.
   */
  readonly devices?: readonly DeviceName[] | "all"
  /** Only devices at this NUMA node. */
  readonly numa?: number
  /** The GID index for every rail; chosen for each when absent. */
  readonly gid?: GidOverride
  /** Whether regions are registered with relaxed ordering; the environment and then `auto` when absent. */
  readonly relaxedOrdering?: RelaxedOrderingWish
}
