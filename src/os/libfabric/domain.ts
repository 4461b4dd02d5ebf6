import { KvError } from "../../errors/kv-error.ts"
import { type ControlBlock, ControlMemory } from "../control-memory.ts"
import { libfabricOperations as calls } from "../ffi/libfabric.ts"
import { libfabricAbi as abi } from "../ffi/libfabric-abi.ts"
import { FabricEndpoint } from "./endpoint.ts"
import { operation, peek64, peekHalves } from "./fields.ts"
import { fabricChecked, fabricErrorText, type Libfabric } from "./library.ts"
import { closeObject, expectClass, tryClose } from "./objects.ts"
import type { FabricOffer } from "./offers.ts"

/** What a registration allows. Our own reads and writes are always allowed. */
export interface RemoteAccess {
  readonly read: boolean
  readonly write: boolean
}

/** One registered run of memory. */
export interface FabricRegion {
  /** Goes with each of our own requests; 0 where the provider wants none. */
  readonly descriptor: number
  readonly key: number
  close(): void
}

/**
 * One fabric and one domain of it: what one rail works with.
 *
 * Opened by the main thread. Objects of libfabric that it makes may be used by one other thread at the same time
 * (`FI_THREAD_SAFE`). Whoever opened it closes its regions and endpoints first.
 */
export class FabricDomain implements Disposable {
  readonly offer: FabricOffer
  readonly #library: Libfabric
  readonly #memory = new ControlMemory(4096)
  readonly #out: ControlBlock
  readonly #opened: number[] = []
  readonly #fabric: number
  readonly #domain: number
  readonly #register

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE with the call that failed and libfabric's words. */
  constructor(library: Libfabric, offer: FabricOffer) {
    this.#library = library
    // A copy: the list that it is from is given back long before the last endpoint is opened.
    this.offer = { ...offer, info: library.c.fi_dupinfo(offer.info) }
    this.#out = this.#memory.take(8)
    const out = this.#out.address
    try {
      const attributes = peek64(this.offer.info + abi["fi_info.fabric_attr"])
      fabricChecked(library, "fi_fabric", library.c.fi_fabric(attributes, out, 0), "KV_TRANSPORT_UNAVAILABLE")
      const fabric = this.#take("fi_fabric", abi.FI_CLASS_FABRIC)
      const open = operation(
        fabric,
        abi["fid_fabric.ops"],
        abi["fi_ops_fabric.domain"],
        "fi_domain",
        calls.fi_open,
      )
      const opened = open(fabric, this.offer.info, out, 0)
      fabricChecked(library, "fi_domain", opened, "KV_TRANSPORT_UNAVAILABLE")
      this.#domain = this.#take("fi_domain", abi.FI_CLASS_DOMAIN)
      const slot = abi["fi_ops_mr.reg"]
      this.#register = operation(this.#domain, abi["fid_domain.mr"], slot, "fi_mr_reg", calls.fi_mr_reg)
      this.#fabric = fabric
    } catch (thrown) {
      this[Symbol.dispose]()
      throw thrown
    }
  }

  /**
   * Registers memory that stays mapped until the region is closed.
   *
   * @param wantedKey what peers shall name it by, where the provider leaves the choice to us.
   * @returns undefined when that key is taken.
   * @throws KvError KV_LIMIT, KV_OS with libfabric's words.
   */
  register(
    address: number,
    byteLength: number,
    access: RemoteAccess,
    wantedKey: number,
  ): FabricRegion | undefined {
    const library = this.#library
    const flags =
      abi.FI_READ |
      abi.FI_WRITE |
      (access.read ? abi.FI_REMOTE_READ : 0) |
      (access.write ? abi.FI_REMOTE_WRITE : 0)
    const out = this.#out.address
    const result = this.#register(this.#domain, address, byteLength, flags, 0, wantedKey, 0, out, 0)
    if (result === -abi.FI_ENOKEY) return undefined
    if (result < 0) {
      throw new KvError(result === -abi.FI_ENOMEM ? "KV_LIMIT" : "KV_OS", {
        what: `${this.offer.provider} refused to register ${byteLength} bytes`,
        why: `fi_mr_reg: ${fabricErrorText(library, result)}`,
        next: "raise the limit on locked memory (ulimit -l), or register less",
      })
    }
    const region = peek64(out)
    expectClass(region, abi.FI_CLASS_MR, "fi_mr_reg")
    const { low, high } = peekHalves(region + abi["fid_mr.key"])
    const close = (): void => closeObject(library, region, "fi_close of a region")
    // Memory that no peer may touch has no key: later versions say so with all bits set (FI_KEY_NOTAVAIL).
    if (high !== 0 && (access.read || access.write)) {
      close()
      throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
        what: `${this.offer.provider} gave a key of 64 bits, 0x${high.toString(16)}${low.toString(16).padStart(8, "0")}`,
        why: "a region's descriptor has 32 bits for a key",
        next: "use another provider, or report this one",
      })
    }
    return { descriptor: peek64(region + abi["fid_mr.mem_desc"]), key: low, close }
  }

  /** An endpoint of its own, ready for use. @throws KvError KV_OS, KV_LIMIT. */
  openEndpoint(): FabricEndpoint {
    return new FabricEndpoint(this.#library, this.#fabric, this.#domain, this.offer)
  }

  [Symbol.dispose](): void {
    // An object that is still in use stays open: it ends with the process, and closing its owner would be a crash.
    for (const object of this.#opened.splice(0).reverse()) tryClose(object)
    this.#library.c.fi_freeinfo(this.offer.info)
    this.#memory[Symbol.dispose]()
  }

  #take(call: string, objectClass: number): number {
    const object = peek64(this.#out.address)
    expectClass(object, objectClass, call)
    this.#opened.push(object)
    return object
  }
}
