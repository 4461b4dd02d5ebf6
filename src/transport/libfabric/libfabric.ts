import {
  defaultRdmaSettings,
  originOf,
  type RdmaSettings,
  registrationsAtOnce,
} from "../../config/rdma-settings.ts"
import { KvError } from "../../errors/kv-error.ts"
import { readRdmaDevices } from "../../os/rdma-devices.ts"
import type { LocalRail, RdmaDriver } from "../rdma/driver.ts"
import { pairLanes } from "../rdma/lane-pairs.ts"
import { rdmaTransport } from "../rdma/rdma-transport.ts"
import type { EndpointOptions, Transport } from "../transport.ts"
import { nicRates } from "./choose-nics.ts"
import { chooseOffers } from "./choose-offers.ts"
import { LibfabricRail } from "./libfabric-rail.ts"
import { openPreparedLibfabric } from "./prepared-libfabric.ts"
import { selfCheck } from "./self-check.ts"

/** How the libfabric transport is made. */
export interface LibfabricOptions {
  /** What the operator decided of RDMA; `defaultRdmaSettings` when absent. */
  readonly rdma?: RdmaSettings
  /** A rail for each NIC, where NICs are rails and none was named; else as many as the endpoint is told. */
  readonly everyNic?: boolean
}

/**
 * RDMA through the machine's own libfabric, by `fi_read` and `fi_write` on reliable connectionless endpoints.
 *
 * Which providers may be used, and in which order, is `rdma.fabricProviders`; one that is not named is never taken.
 */
export function createLibfabric(options: LibfabricOptions = {}): Transport {
  const { rdma = defaultRdmaSettings, everyNic = false } = options
  return rdmaTransport(libfabricDriver(rdma, everyNic), {
    sliceBytes: rdma.sliceBytes,
    maxConcurrentRegistrations: registrationsAtOnce(rdma),
    ...(rdma.cpus === undefined ? {} : { cpus: rdma.cpus }),
  })
}

function libfabricDriver(rdma: RdmaSettings, everyNic: boolean): RdmaDriver {
  return {
    name: "libfabric",
    threadFile: new URL("./rail-thread.js", import.meta.url),
    writesAreVisible: true,
    ordered: false,
    tellsRefusals: false,
    open: (options) => openRails(rdma, everyNic, options),
    pair: (local, remote) =>
      pairLanes(local, remote).map(({ localRail, remoteRail, weight }) => ({
        local: localRail,
        remote: remoteRail,
        weight,
      })),
  }
}

async function openRails(
  rdma: RdmaSettings,
  everyNic: boolean,
  { host, rails: wanted }: EndpointOptions,
): Promise<readonly LocalRail[]> {
  assertNoWish(rdma)
  const library = openPreparedLibfabric(rdma)
  const chosen = chooseOffers(library, { ...rdma, host, rails: wanted, everyNic })
  const rails: LibfabricRail[] = []
  try {
    const { offers, traits } = chosen
    const domains = offers.map(({ domain }) => domain)
    const rates = traits.railIsNic ? nicRates(domains, rdma, readRdmaDevices()) : []
    for (const [at, offer] of offers.entries()) {
      const { queueDepth } = rdma
      rails.push(new LibfabricRail({ library, offer, traits, queueDepth, rate: rates[at] ?? 1 }))
    }
    if (!library.tested) await selfCheck(library, rails[0]!)
    return rails
  } catch (thrown) {
    for (const rail of rails) await rail[Symbol.asyncDispose]()
    throw thrown
  } finally {
    chosen.free()
  }
}

/** @throws KvError KV_TRANSPORT_UNAVAILABLE for a setting that insists on what libfabric cannot be asked for. */
function assertNoWish(rdma: RdmaSettings): void {
  if (rdma.relaxedOrdering !== "on") return
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `relaxed ordering was asked for (on, ${originOf(rdma, "relaxedOrdering")}) and cannot be had over libfabric`,
    why: "its registration has no flag for it, and no provider of it sets one",
    next: "take the path verbs, or say --relaxed-ordering auto",
  })
}
