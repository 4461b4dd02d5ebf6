import { KvError } from "../../errors/kv-error.ts"
import { openDoorbell } from "../../os/doorbell.ts"
import type { Endpoint, EndpointOptions, Transport } from "../transport.ts"
import type { LocalRail, RdmaDriver } from "./driver.ts"
import { railCountMemory } from "./rail-counts.ts"
import { closeDoorbells, RailThread } from "./rail-thread-handle.ts"
import { RdmaEndpoint } from "./rdma-endpoint.ts"

/** How an RDMA transport cuts and registers. */
export interface RdmaOptions {
  /** Longest work request in bytes: longer pieces are cut. */
  readonly sliceBytes?: number
  /** How much each rail carries beside the others, one number for each; by their line rates when absent. */
  readonly weights?: readonly number[]
  /** Processors for the rails' threads: rail r keeps to number r, and round again. The kernel decides when absent. */
  readonly cpus?: readonly number[]
  /** Registrations that run at the same time. */
  readonly maxConcurrentRegistrations?: number
  /** Longest registration in bytes, if shorter than the NICs' own bound: longer regions are registered in parts. */
  readonly registrationBytes?: number
}

const sliceBytesDefault = 1024 * 1024
const registrationsDefault = 4
const spinMicrosDefault = 20

/** A transport over a fabric with remote direct memory access. */
export function rdmaTransport(driver: RdmaDriver, options: RdmaOptions = {}): Transport {
  return { name: driver.name, open: (endpoint) => openRdma(driver, options, endpoint) }
}

async function openRdma(
  driver: RdmaDriver,
  options: RdmaOptions,
  { host, ...rest }: EndpointOptions,
): Promise<Endpoint> {
  const rails = await driver.open({ host, ...rest })
  const doorbells = rails.map(() => openDoorbell())
  const { cpus = [] } = options
  const counts = rails.map(() => railCountMemory())
  const threads: RailThread[] = []
  const close = async (): Promise<void> => {
    await Promise.all(threads.map((thread) => thread.stop()))
    const stuck = threads.map((thread) => thread.stuck !== undefined)
    // What a thread that has not come back may still use stays as it is.
    if (!stuck.includes(true)) closeDoorbells(doorbells)
    await Promise.all(rails.filter((_, rail) => !stuck[rail]).map((rail) => rail[Symbol.asyncDispose]()))
  }
  let endpoint: RdmaEndpoint | undefined
  try {
    for (const [rail, { port }] of rails.entries()) {
      const start = {
        transport: driver.name,
        rail,
        counts: counts[rail]!,
        cpu: cpus.length === 0 ? undefined : cpus[rail % cpus.length],
        port,
        doorbell: doorbells[rail]!,
        others: doorbells.filter((_, other) => other !== rail),
        spinMicros: rest.moverSpinMicros ?? spinMicrosDefault,
        writesAreVisible: driver.writesAreVisible,
        ordered: driver.ordered,
      }
      threads.push(await RailThread.start(driver.threadFile, start, (event) => endpoint?.hear(event, rail)))
    }
    endpoint = new RdmaEndpoint({
      driver,
      host,
      rails: rails.map((rail, at) => ({ rail, thread: threads[at]! })),
      sliceBytes: Math.min(
        options.sliceBytes ?? sliceBytesDefault,
        ...rails.map(({ messageBytesMax }) => messageBytesMax),
      ),
      weights: weightsOf(rails, options.weights),
      registrationsAtOnce: options.maxConcurrentRegistrations ?? registrationsDefault,
      registrationBytes: options.registrationBytes,
      counts,
      close,
    })
    await endpoint.listen()
    return endpoint
  } catch (thrown) {
    await close()
    throw thrown
  }
}

/** @throws KvError KV_USAGE for weights that do not fit the rails. */
function weightsOf(
  rails: readonly LocalRail[],
  asked: readonly number[] | undefined,
): readonly number[] | undefined {
  if (asked !== undefined) {
    if (asked.length === rails.length && asked.every((weight) => Number.isFinite(weight) && weight > 0))
      return asked
    throw new KvError("KV_USAGE", {
      what: `${asked.length} weights (${asked.join(", ")}) were given for ${rails.length} rails`,
      next: "give one positive number for each rail, in their order",
    })
  }
  const rates = rails.map(({ card }) => card.rate)
  return new Set(rates).size > 1 ? rates : undefined
}
