import type { SharedSpan } from "../../memory/host-memory.ts"
import { addressBytesMax, type EndpointHandle } from "../../os/libfabric/endpoint.ts"

/** What a rail's thread opens its port from. */
export interface PortStart {
  /** libfabric's file: the thread opens it again, and gets the same copy. */
  readonly file: string
  readonly provider: string
  readonly copiesInCall: boolean
  /** False: see `ProviderTraits.crashesWhenClosed`. */
  readonly closesUnderWay: boolean
  /** Requests that a lane may have under way. */
  readonly depth: number
  /** The rail's page: what probes read into. */
  readonly page: SharedSpan
}

/** What a rail's thread works with on one lane. */
export interface LaneHandle {
  readonly endpoint: EndpointHandle
  /** Made by `newPeerMemory`: known when the lane is connected, which may be after the thread has heard of it. */
  readonly peer: SharedArrayBuffer
  /** The state of the peer's endpoint, where that is one of this very process and closing it would hurt us. */
  readonly peerState?: SharedArrayBuffer
  /** Where in the rail's page a probe puts what it reads, and the descriptor for it. */
  readonly probeOffset: number
  readonly probeDescriptor: number
}

/** Places in `LaneHandle.peer`. */
export const peerField = { name: 0, address: 1, key: 2, valueLow: 3, valueHigh: 4, connected: 5 } as const
const peerFields = 6

/** Memory for what becomes known of a lane's peer: `peerField`s, then its address as the provider puts it. */
export const newPeerMemory = (): SharedArrayBuffer => new SharedArrayBuffer(peerFields * 8 + addressBytesMax)

/** The fields of `peerField`. */
export const peerNumbers = (memory: SharedArrayBuffer): Float64Array =>
  new Float64Array(memory, 0, peerFields)

/** The peer's address, with zeros behind it. */
export const peerAddress = (memory: SharedArrayBuffer): Uint8Array => new Uint8Array(memory, peerFields * 8)

/** Bytes that a probe reads. */
export const probeBytes = 8
