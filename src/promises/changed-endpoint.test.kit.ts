import type { Endpoint, Transport } from "../transport/transport.ts"

/** A transport like `inner`, of whose endpoints some methods are others. */
export function withEndpoints(
  inner: Transport,
  changes: (endpoint: Endpoint) => Partial<Endpoint>,
): Transport {
  return { name: inner.name, open: async (options) => changed(await inner.open(options), changes) }
}

function changed(inner: Endpoint, changes: (endpoint: Endpoint) => Partial<Endpoint>): Endpoint {
  return {
    transport: inner.transport,
    rails: inner.rails,
    address: inner.address,
    register: (region, span, access) => inner.register(region, span, access),
    deregister: (region) => inner.deregister(region),
    admit: (session, rights) => inner.admit(session, rights),
    dismiss: (sessionId) => inner.dismiss(sessionId),
    reaches: (address) => inner.reaches(address),
    connect: (...how) => inner.connect(...how),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
    ...changes(inner),
  }
}
