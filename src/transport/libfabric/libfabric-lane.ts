import { KvError } from "../../errors/kv-error.ts"
import type { FabricEndpoint } from "../../os/libfabric/endpoint.ts"
import { removeSharedFile } from "../../os/libfabric/shared-file.ts"
import { ProcessMemory } from "../../os/process-memory.ts"
import { reachedAt } from "../../os/sockets-to.ts"
import type { LocalLane, Plain } from "../rdma/driver.ts"
import {
  type LaneHandle,
  newPeerMemory,
  peerAddress,
  peerField,
  peerNumbers,
  probeBytes,
} from "./lane-handle.ts"

/** What a lane is made with, beside its endpoint. */
export interface LaneParts extends Pick<LaneHandle, "probeOffset" | "probeDescriptor"> {
  readonly provider: string
  readonly copiesInCall: boolean
  /** Where the rail's page lies in this process. */
  readonly pageAddress: number
  /** What the peer reads to prove the lane, and the value that it must find. */
  readonly probe: ProbeTarget
}

/** Eight bytes of a side, and how the other side reaches them. */
interface ProbeTarget {
  readonly address: number
  readonly key: number
  readonly valueLow: number
  readonly valueHigh: number
}

/** Endpoints of this process whose peers work in their memory, by their addresses. */
const endpointsHere = new Map<string, SharedArrayBuffer>()
// Those that nobody has closed, because the process ends at once or their library has not come back.
process.on("exit", () => {
  for (const address of endpointsHere.keys()) removeSharedFile(Buffer.from(address, "hex"))
})

/** This side's end of a lane: an endpoint that talks to one endpoint of the peer. */
export class LibfabricLane implements LocalLane {
  readonly end: Plain
  readonly #endpoint: FabricEndpoint
  readonly #parts: LaneParts
  readonly #peer = newPeerMemory()
  #peerState: SharedArrayBuffer | undefined

  constructor(endpoint: FabricEndpoint, parts: LaneParts) {
    this.#endpoint = endpoint
    this.#parts = parts
    const { provider, probe, pageAddress } = parts
    this.end = {
      provider,
      address: Buffer.from(endpoint.name).toString("hex"),
      probeAddress: probe.address,
      probeKey: probe.key,
      valueLow: probe.valueLow,
      valueHigh: probe.valueHigh,
      ...(parts.copiesInCall ? { pid: process.pid, pageAddress } : {}),
    }
    if (parts.copiesInCall) endpointsHere.set(String(this.end["address"]), endpoint.handle.state)
  }

  get handle(): LaneHandle {
    const { probeOffset, probeDescriptor } = this.#parts
    const handle = { endpoint: this.#endpoint.handle, peer: this.#peer, probeOffset, probeDescriptor }
    return this.#peerState === undefined ? handle : { ...handle, peerState: this.#peerState }
  }

  async connect(peer: Plain): Promise<void> {
    const { provider, copiesInCall } = this.#parts
    const end = peerEnd(peer)
    if (end === undefined || end.provider !== provider) {
      throw new KvError("KV_PEER_REFUSED", {
        what: `the peer's end of a lane is none of libfabric's ${provider}`,
        ...(end === undefined ? {} : { why: `it is one of ${JSON.stringify(end.provider.slice(0, 40))}` }),
        next: "let both sides use the same provider of libfabric",
      })
    }
    if (copiesInCall) assertCopies(peer, end)
    this.#peerState = endpointsHere.get(String(peer["address"]))
    const known = peerNumbers(this.#peer)
    const { reachedHost } = peer
    const address = typeof reachedHost === "string" ? reachedAt(end.address, reachedHost) : end.address
    known[peerField.name] = this.#endpoint.insert(address)
    known[peerField.address] = end.probe.address
    known[peerField.key] = end.probe.key
    known[peerField.valueLow] = end.probe.valueLow
    known[peerField.valueHigh] = end.probe.valueHigh
    peerAddress(this.#peer).set(address)
    known[peerField.connected] = 1
  }

  async close(): Promise<void> {
    endpointsHere.delete(String(this.end["address"]))
    this.#endpoint.close()
  }
}

/** It crossed a wire: undefined when it is malformed. */
function peerEnd(
  peer: Plain,
): { readonly provider: string; readonly address: Uint8Array; readonly probe: ProbeTarget } | undefined {
  const { provider, address, probeAddress, probeKey, valueLow, valueHigh } = peer
  if (typeof provider !== "string" || typeof address !== "string") return undefined
  if (!/^(?:[0-9a-f]{2}){1,512}$/.test(address)) return undefined
  const words = [probeKey, valueLow, valueHigh].every((word) => isWhole(word, 2 ** 32 - 1))
  if (!words || !isWhole(probeAddress, Number.MAX_SAFE_INTEGER)) return undefined
  const probe = {
    address: probeAddress,
    key: Number(probeKey),
    valueLow: Number(valueLow),
    valueHigh: Number(valueHigh),
  }
  return { provider, address: Buffer.from(address, "hex"), probe }
}

const isWhole = (value: unknown, most: number): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most

/**
 * Whether the kernel lets this process copy from the peer: then `fi_read` copies at once.
 *
 * Where it does not, libfabric would let the peer's processor copy, whenever that runs: after a deadline, say.
 * @throws KvError KV_PEER_UNREACHABLE with the kernel's answer.
 */
function assertCopies({ pid, pageAddress }: Plain, { probe }: { readonly probe: ProbeTarget }): void {
  using memory = new ProcessMemory(probeBytes)
  const known = isWhole(pid, 2 ** 31) && isWhole(pageAddress, Number.MAX_SAFE_INTEGER)
  const answer = known
    ? memory.look(pid, [{ address: pageAddress, byteLength: probeBytes }])
    : "no process id"
  const { u32 } = memory.found
  if (answer === "" && u32[0] === probe.valueLow && u32[1] === probe.valueHigh) return
  throw new KvError("KV_PEER_UNREACHABLE", {
    what: "libfabric's shm cannot copy out of the peer's memory",
    why: answer === "" ? "another process has the peer's number here" : `process_vm_readv answered ${answer}`,
    next: "run both as one user on one machine and in one pid namespace, or allow another path",
  })
}
