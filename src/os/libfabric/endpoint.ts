import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import { ControlMemory } from "../control-memory.ts"
import { libfabricOperations as calls } from "../ffi/libfabric.ts"
import { libfabricAbi as abi } from "../ffi/libfabric-abi.ts"
import { operation, peek32, peek64 } from "./fields.ts"
import { fabricChecked, fabricErrorText, type Libfabric } from "./library.ts"
import { expectClass, tryClose } from "./objects.ts"
import type { FabricOffer } from "./offers.ts"

/** Longest address of an endpoint that is taken from anybody. */
export const addressBytesMax = 512

/** Completions that a queue holds at most: more than a lane has requests. */
const queueEntries = 1024

/** What another thread needs of an endpoint, by structured clone. */
export interface EndpointHandle {
  readonly fabric: number
  readonly endpoint: number
  readonly vector: number
  readonly queue: number
  /** Becomes readable at completions; undefined where the provider has no such thing. */
  readonly descriptor: number | undefined
  /** Int32s of `endpointWord`. */
  readonly state: SharedArrayBuffer
}

/** Places in `EndpointHandle.state`: 1 when it is closed or being closed, and how many are using it from outside. */
const endpointWord = { closed: 0, users: 1 } as const

/** How long a user may hold an endpoint open: one batch of copies. */
const usersMillisMax = 10_000

/**
 * One reliable connectionless endpoint (`FI_EP_RDM`), with a completion queue and the address of the one it talks to.
 *
 * A lane has one of its own: libfabric ends what is under way on an endpoint by closing it, and by nothing less. The queue
 * is its own, too. ofi_rxm of 1.17 crashes when a queue is looked at while an endpoint is being bound to it, and when one
 * is waited on from which an endpoint was closed, `FI_THREAD_SAFE` or not.
 *
 * Made by the main thread; then one other thread alone works with it.
 */
export class FabricEndpoint {
  readonly handle: EndpointHandle
  /** Its own address, as the peer must be told it. */
  readonly name: Uint8Array
  readonly #library: Libfabric
  readonly #addressFormat: number
  readonly #provider: string

  /** @throws KvError KV_OS, KV_LIMIT with the call that failed. */
  constructor(library: Libfabric, fabric: number, domain: number, offer: FabricOffer) {
    this.#library = library
    this.#addressFormat = offer.addressFormat
    this.#provider = offer.provider
    using memory = new ControlMemory(4096)
    const out = memory.take(8)
    const attributes = memory.take(256)
    const opened: number[] = []
    const open = (slot: number, call: string, argument: number, objectClass: number): number => {
      const run = operation(domain, abi["fid_domain.ops"], slot, call, calls.fi_open)
      fabricChecked(library, call, run(domain, argument, out.address, 0))
      const object = peek64(out.address)
      expectClass(object, objectClass, call)
      opened.push(object)
      return object
    }
    const openQueue = (wait: number): number => {
      attributes.u8.fill(0)
      attributes.data.setUint32(abi["fi_cq_attr.size"], queueEntries, true)
      attributes.data.setUint32(abi["fi_cq_attr.format"], abi.FI_CQ_FORMAT_CONTEXT, true)
      attributes.data.setUint32(abi["fi_cq_attr.wait_obj"], wait, true)
      return open(abi["fi_ops_domain.cq_open"], "fi_cq_open", attributes.address, abi.FI_CLASS_CQ)
    }
    try {
      const queue = openQueue(offer.waits ? abi.FI_WAIT_FD : abi.FI_WAIT_NONE)
      attributes.u8.fill(0)
      attributes.data.setUint32(abi["fi_av_attr.type"], abi.FI_AV_TABLE, true)
      attributes.data.setUint32(abi["fi_av_attr.count"], 1, true)
      const vector = open(abi["fi_ops_domain.av_open"], "fi_av_open", attributes.address, abi.FI_CLASS_AV)
      const endpoint = open(abi["fi_ops_domain.endpoint"], "fi_endpoint", offer.info, abi.FI_CLASS_EP)
      const bind = operation(endpoint, abi["fid.ops"], abi["fi_ops.bind"], "fi_ep_bind", calls.fi_bind)
      fabricChecked(library, "fi_ep_bind of the address vector", bind(endpoint, vector, 0))
      const both = abi.FI_TRANSMIT | abi.FI_RECV
      fabricChecked(library, "fi_ep_bind of the completion queue", bind(endpoint, queue, both))
      control(library, endpoint, "fi_enable", abi.FI_ENABLE, 0)
      if (offer.waits) control(library, queue, "fi_control(FI_GETWAIT)", abi.FI_GETWAIT, out.address)
      const descriptor = offer.waits ? peek32(out.address) : undefined
      const state = new SharedArrayBuffer(8)
      this.handle = { fabric, endpoint, vector, queue, descriptor, state }
      this.name = this.#ownName(memory, endpoint)
    } catch (thrown) {
      for (const object of opened.reverse()) tryClose(object)
      throw thrown
    }
  }

  /**
   * Tells the endpoint whom it talks to. Returns what requests name the peer by.
   * @throws KvError KV_PEER_REFUSED for an address that is none of this provider; KV_OS.
   */
  insert(address: Uint8Array): number {
    if (!sameKind(address, this.name, this.#addressFormat)) {
      throw new KvError("KV_PEER_REFUSED", {
        what: `the peer's address of ${address.byteLength} bytes is none of ${this.#provider}`,
        why: `this side's own has ${this.name.byteLength} bytes`,
        next: "let both sides use the same provider of libfabric",
      })
    }
    const { vector } = this.handle
    // Zeroed and longer than any address, so that a provider that looks further reads zeros.
    using memory = new ControlMemory(4096)
    const block = memory.take(addressBytesMax * 2)
    block.u8.set(address)
    const out = memory.take(8)
    const slot = abi["fi_ops_av.insert"]
    const run = operation(vector, abi["fid_av.ops"], slot, "fi_av_insert", calls.fi_av_insert)
    const inserted = run(vector, block.address, 1, out.address, 0, 0)
    if (inserted === 1) return peek64(out.address)
    throw new KvError("KV_PEER_REFUSED", {
      what: `${this.#provider} does not take the peer's address`,
      why:
        inserted < 0 ? `fi_av_insert: ${fabricErrorText(this.#library, inserted)}` : "fi_av_insert took none",
    })
  }

  /** Safe to call again, also when another thread has closed it. */
  close(): void {
    closeEndpoint(this.handle)
  }

  #ownName(memory: ControlMemory, endpoint: number): Uint8Array {
    const block = memory.take(addressBytesMax)
    const length = memory.take(8)
    length.u32[0] = addressBytesMax
    const run = operation(
      endpoint,
      abi["fid_ep.cm"],
      abi["fi_ops_cm.getname"],
      "fi_getname",
      calls.fi_getname,
    )
    fabricChecked(this.#library, "fi_getname", run(endpoint, block.address, length.address))
    return Uint8Array.from(block.u8.subarray(0, Math.min(addressBytesMax, length.u32[0]!)))
  }
}

/**
 * Closes an endpoint once, whichever thread comes first. When it returns, nothing of it touches memory any more.
 * @throws KvError KV_OS when libfabric refuses: then nobody can say that.
 */
export function closeEndpoint({ endpoint, vector, queue, state }: EndpointHandle): void {
  const words = new Int32Array(state)
  if (Atomics.exchange(words, endpointWord.closed, 1) === 1) return
  const end = performance.now() + usersMillisMax
  for (let users = Atomics.load(words, endpointWord.users); users > 0; ) {
    assert(performance.now() < end, "whoever uses an endpoint from outside lets go of it")
    Atomics.wait(words, endpointWord.users, users, 1)
    users = Atomics.load(words, endpointWord.users)
  }
  const result = tryClose(endpoint)
  if (result < 0) {
    throw new KvError("KV_OS", {
      what: "libfabric did not close an endpoint",
      why: `fi_close answered ${result}`,
      next: "its memory is not safe to use again before this process ends",
    })
  }
  tryClose(vector)
  tryClose(queue)
}

/**
 * Uses an endpoint of this process from outside, while it cannot be closed: shm works in its peer's memory itself, which
 * is unmapped with it. Returns undefined when it is closed.
 */
export function usingEndpoint<T>(state: SharedArrayBuffer, action: () => T): T | undefined {
  const words = new Int32Array(state)
  Atomics.add(words, endpointWord.users, 1)
  try {
    return Atomics.load(words, endpointWord.closed) === 1 ? undefined : action()
  } finally {
    Atomics.sub(words, endpointWord.users, 1)
  }
}

function control(library: Libfabric, object: number, call: string, command: number, argument: number): void {
  const run = operation(object, abi["fid.ops"], abi["fi_ops.control"], call, calls.fi_control)
  fabricChecked(library, call, run(object, command, argument))
}

/** A peer's address is only given to a provider when it looks like our own: it reads as many bytes as it expects. */
function sameKind(address: Uint8Array, own: Uint8Array, format: number): boolean {
  if (address.byteLength === 0 || address.byteLength > addressBytesMax) return false
  if (format === abi.FI_ADDR_STR) {
    // Such as `fi_shm://1234:0:1`, and a zero: the rest becomes the name of a file.
    const [theirs, ours] = [address, own].map((bytes) => Buffer.from(bytes).toString("latin1"))
    const scheme = ours!.slice(0, ours!.indexOf("://") + 3)
    return theirs!.startsWith(scheme) && /^[\w:.-]+\0$/.test(theirs!.slice(scheme.length))
  }
  if (address.byteLength !== own.byteLength) return false
  const socket = format === abi.FI_SOCKADDR || format === abi.FI_SOCKADDR_IN || format === abi.FI_SOCKADDR_IN6
  // The family comes first, and says how long the rest is.
  return !socket || (address[0] === own[0] && address[1] === own[1])
}
