import type { MemorySpan } from "../../memory/host-memory.ts"
import type { Connection, Endpoint, Transport } from "../transport.ts"
import type { FaultPlan, Posted, TransportFault } from "./fault-plan.ts"
import type { FaultClock, FaultSource } from "./fault-source.ts"
import { FaultyConnection } from "./faulty-connection.ts"

/** What was done to a post, and when. */
export interface FaultRecord extends Posted {
  readonly at: number
  readonly fault: TransportFault
}

export interface FaultOptions {
  /** The machine's own clock unless told. */
  readonly clock?: FaultClock
  /** Told of each fault as it begins. */
  readonly onFault?: (record: FaultRecord) => void
}

const machineClock: FaultClock = {
  now: () => performance.now(),
  after: (millis, action) => {
    const timer = setTimeout(action, millis)
    return () => clearTimeout(timer)
  },
}

/**
 * A transport that does what the one inside it does, but for what `plan` says goes wrong.
 *
 * It is a transport itself: an agent, a test or another wrapper takes it as it would take the one inside. The peer
 * needs no wrapper. With a plan of no faults it changes nothing. What it must keep in any case it keeps: a move that
 * a fault holds up still ends at its deadline, at its cancel and at the loss of its connection.
 *
 * A post with a fault is never hashed by the fabric: hashes are its caller's then, who reads what is really there.
 */
export function withFaults(transport: Transport, plan: FaultPlan, options: FaultOptions = {}): Transport {
  const clock = options.clock ?? machineClock
  let number = 0
  const source: FaultSource = {
    clock,
    next(posted) {
      const counted = { ...posted, number: number++ }
      const fault = plan(counted)
      if (fault !== undefined) options.onFault?.({ ...counted, at: clock.now(), fault })
      return fault
    },
  }
  return {
    name: transport.name,
    open: async (opening) => faultyEndpoint(await transport.open(opening), source),
  }
}

function faultyEndpoint(inner: Endpoint, source: FaultSource): Endpoint {
  const spans = new Map<number, MemorySpan>()
  return {
    transport: inner.transport,
    rails: inner.rails,
    ...(inner.describe === undefined ? {} : { describe: inner.describe.bind(inner) }),
    ...(inner.railWeights === undefined ? {} : { railWeights: inner.railWeights }),
    address: inner.address,
    register: async (region, span, access) => {
      const descriptor = await inner.register(region, span, access)
      spans.set(region, span)
      return descriptor
    },
    deregister: (region) => {
      spans.delete(region)
      return inner.deregister(region)
    },
    admit: (session, rights) => inner.admit(session, rights),
    dismiss: (sessionId) => inner.dismiss(sessionId),
    reaches: (address) => inner.reaches(address),
    connect: async (session, address, how): Promise<Connection> =>
      new FaultyConnection(await inner.connect(session, address, how), source, { spans, rails: inner.rails }),
    [Symbol.asyncDispose]: () => {
      spans.clear()
      return inner[Symbol.asyncDispose]()
    },
  }
}
