import type { EndpointAddress, Reach } from "../transport.ts"

/** A peer's nixl address from its grant, checked. */
export interface NixlAddress {
  readonly host: string
  readonly port: number
  readonly backends: readonly string[]
}

/** Where a nixl endpoint's side channel listens, and the backends of its NIXL. */
export function addressOf({ host, port, backends }: NixlAddress): EndpointAddress {
  return { transport: "nixl", host, port, backends }
}

/** It crossed a wire: undefined when it is malformed. */
export function parseAddress({ host, port, backends }: EndpointAddress): NixlAddress | undefined {
  if (typeof host !== "string" || typeof port !== "number" || !Array.isArray(backends)) return undefined
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined
  const names = backends.filter((name): name is string => typeof name === "string" && /^\w{1,40}$/.test(name))
  return names.length === backends.length ? { host, port, backends: names } : undefined
}

/** Whether NIXL here and there have a backend in common. Whether its fabric joins the two, NIXL learns by trying. */
export function reachOf(address: EndpointAddress, ours: readonly string[]): Reach {
  if (address.transport !== "nixl") return { usable: false, why: "the peer offers no nixl endpoint" }
  const peer = parseAddress(address)
  if (peer === undefined) return { usable: false, why: "the peer's nixl address is malformed" }
  const common = ours.filter((name) => peer.backends.includes(name))
  if (common.length > 0) {
    const why = `both sides have NIXL with ${common.join(", ")}; what NIXL itself lets a peer do with a region does not depend on the grant`
    return { usable: true, why }
  }
  const why = `NIXL has ${ours.join(", ")} here and ${peer.backends.join(", ") || "no backend"} there: none in common`
  return { usable: false, why }
}
