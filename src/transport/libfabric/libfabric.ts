import { defaultRdmaSettings, type RdmaSettings, registrationsAtOnce } from "../../config/rdma-settings.ts"
import type { LocalRail, RdmaDriver } from "../rdma/driver.ts"
import { pairLanes } from "../rdma/lane-pairs.ts"
import { rdmaTransport } from "../rdma/rdma-transport.ts"
import type { EndpointOptions, Transport } from "../transport.ts"
import { chooseOffers } from "./choose-offers.ts"
import { LibfabricRail } from "./libfabric-rail.ts"
import { openPreparedLibfabric } from "./prepared-libfabric.ts"
import { selfCheck } from "./self-check.ts"

/** How the libfabric transport is made. */
export interface LibfabricOptions {
  /** What the operator decided of RDMA; `defaultRdmaSettings` when absent. */
  readonly rdma?: RdmaSettings
}

/**
 * RDMA through the machine's own libfabric, by `fi_read` and `fi_write` on reliable connectionless endpoints.
 *
 * Which providers may be used, and in which order, is `rdma.fabricProviders`; one that is not named is never taken.
 */
export function createLibfabric({ rdma = defaultRdmaSettings }: LibfabricOptions = {}): Transport {
  return rdmaTransport(libfabricDriver(rdma), {
    sliceBytes: rdma.sliceBytes,
    maxConcurrentRegistrations: registrationsAtOnce(rdma),
    ...(rdma.cpus === undefined ? {} : { cpus: rdma.cpus }),
  })
}

function libfabricDriver(rdma: RdmaSettings): RdmaDriver {
  return {
    name: "libfabric",
    threadFile: new URL("./rail-thread.js", import.meta.url),
    writesAreVisible: true,
    ordered: false,
    tellsRefusals: false,
    open: (options) => openRails(rdma, options),
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
  { host, rails: wanted }: EndpointOptions,
): Promise<readonly LocalRail[]> {
  const library = openPreparedLibfabric(rdma)
  const chosen = chooseOffers(library, { ...rdma, host, rails: wanted })
  const rails: LibfabricRail[] = []
  try {
    for (const offer of chosen.offers) {
      rails.push(new LibfabricRail({ library, offer, traits: chosen.traits, queueDepth: rdma.queueDepth }))
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
