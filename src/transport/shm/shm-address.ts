import { randomBytes } from "node:crypto"
import { KvError } from "../../errors/kv-error.ts"
import { type MachineIdentity, machineIdentity } from "../../os/machine-identity.ts"
import type { EndpointAddress, Reach } from "../transport.ts"

/** Where an endpoint is, as its card says it. */
export interface ShmAddress extends MachineIdentity {
  /** Of the local socket, in the abstract namespace. */
  readonly socket: string
}

/** A fresh random socket name: nobody can wait for it, and a restarted process has another. */
export const freshSocketName = (): string => `kvferry-shm-${randomBytes(16).toString("hex")}`

/** @throws KvError KV_TRANSPORT_UNAVAILABLE where /proc does not say which machine this is. */
export function ownMachine(): MachineIdentity {
  const machine = machineIdentity()
  if (machine !== undefined) return machine
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: "shm cannot tell which machine this is",
    why: "/proc/sys/kernel/random/boot_id or /proc/self/ns/net could not be read",
    next: "mount /proc in this container, or allow other paths (--paths)",
  })
}

export function toEndpointAddress({ socket, kernelBootId, networkNamespace }: ShmAddress): EndpointAddress {
  return { transport: "shm", socket, kernelBootId, networkNamespace }
}

/** A peer's address from its card, checked: it crossed a wire. Undefined when it is not one. */
export function parseShmAddress(address: EndpointAddress): ShmAddress | undefined {
  const { transport, socket, kernelBootId, networkNamespace } = address
  const good =
    transport === "shm" &&
    typeof socket === "string" &&
    /^kvferry-shm-[0-9a-f]{32}$/.test(socket) &&
    typeof kernelBootId === "string" &&
    /^[0-9a-f-]{36}$/.test(kernelBootId) &&
    typeof networkNamespace === "number" &&
    Number.isSafeInteger(networkNamespace)
  return good ? { socket, kernelBootId, networkNamespace } : undefined
}

/** Whether memory can be shared with whoever has `address`, seen from `here`. */
export function reachOf(address: EndpointAddress, here: MachineIdentity): Reach {
  if (address.transport !== "shm") return { usable: false, why: "the peer offers no shm endpoint" }
  const peer = parseShmAddress(address)
  if (peer === undefined) return { usable: false, why: "the peer's shm address is malformed" }
  if (peer.kernelBootId !== here.kernelBootId) {
    const short = (id: string): string => id.slice(0, 8)
    const why = `the peer is on another machine (kernel boot ${short(peer.kernelBootId)}…, ours ${short(here.kernelBootId)}…)`
    return { usable: false, why }
  }
  if (peer.networkNamespace !== here.networkNamespace) {
    const why = `the peer is in another network namespace (${peer.networkNamespace}, ours ${here.networkNamespace}), where its local socket is not known`
    return { usable: false, why }
  }
  return { usable: true, why: "both agents are on one machine" }
}
