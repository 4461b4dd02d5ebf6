import { openIbverbs } from "../ffi/ibverbs.ts"
import { ibverbsAbi as abi } from "../ffi/ibverbs-abi.ts"
import { callOnPool, errno } from "../ffi/symbols.ts"
import { errnoName, osError } from "../os-error.ts"
import { fieldsAt } from "./native-fields.ts"
import type { VerbsContext } from "./verbs-context.ts"

const probeBytes = 4096
const noFile = -1
const unsupported: ReadonlySet<string> = new Set(["EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EPROTONOSUPPORT"])

/** What a rail's thread opens its side from: addresses and descriptors of this process. */
export interface VerbsRailPointers {
  readonly context: number
  readonly completionQueue: number
  readonly channel: number
  readonly channelFd: number
  readonly asyncFd: number
}

/** A registered run of memory. */
export interface VerbsRegion {
  readonly lkey: number
  readonly rkey: number
  readonly iova: number
  /** Resolves when the NIC touches it no more. @throws KvError KV_OS. */
  close(): Promise<void>
}

/** A protection domain with one completion queue and its channel, on one device. Closed after all made from it. */
export class VerbsRail implements Disposable {
  readonly device: VerbsContext
  readonly pointers: VerbsRailPointers
  readonly #domain: number
  readonly #undo: (() => void)[] = []

  /** @param completions entries of the completion queue. @throws KvError KV_OS. */
  constructor(device: VerbsContext, completions: number) {
    this.device = device
    const { functions: ibv } = device.ibv
    const made = (call: string, pointer: number, close: (pointer: number) => number): number => {
      if (pointer === 0) {
        const code = errno()
        this[Symbol.dispose]()
        throw osError(call, code, {
          what: `${device.name} refused what a rail needs`,
          next: "close other users of the device; see its limits with ibv_devinfo -v, and ulimit -l",
        })
      }
      this.#undo.push(() => {
        const code = close(pointer)
        if (code !== 0)
          throw osError(call.replace(/create|alloc/, "close"), code, {
            what: `a rail of ${device.name} cannot be closed`,
          })
      })
      return pointer
    }
    this.#domain = made("ibv_alloc_pd", ibv.ibv_alloc_pd(device.pointer), ibv.ibv_dealloc_pd)
    const channel = made(
      "ibv_create_comp_channel",
      ibv.ibv_create_comp_channel(device.pointer),
      ibv.ibv_destroy_comp_channel,
    )
    const completionQueue = made(
      "ibv_create_cq",
      ibv.ibv_create_cq(device.pointer, completions, 0, channel, 0),
      ibv.ibv_destroy_cq,
    )
    const channelFd = fieldsAt(channel, abi["ibv_comp_channel.fd"] + 4).getInt32(
      abi["ibv_comp_channel.fd"],
      true,
    )
    const asyncFd = fieldsAt(device.pointer, abi["ibv_context.async_fd"] + 4).getInt32(
      abi["ibv_context.async_fd"],
      true,
    )
    this.pointers = { context: device.pointer, completionQueue, channel, channelFd, asyncFd }
  }

  /** `struct ibv_pd *`. */
  get domain(): number {
    return this.#domain
  }

  /**
   * Registers memory, on a thread of the pool: it pins every page of it.
   *
   * @param access bits of `IBV_ACCESS_*`.
   * @param iova what peers shall call the first byte; only where the library has `ibv_reg_mr_iova2`, else its address.
   * @throws KvError KV_OS, KV_LIMIT.
   */
  async register(address: number, byteLength: number, iova: number, access: number): Promise<VerbsRegion> {
    const { functions, optional } = this.device.ibv
    const modern = optional.ibv_reg_mr_iova2
    const { result: region, errno: code } =
      modern === undefined
        ? await callOnPool(functions.ibv_reg_mr, this.#domain, address, byteLength, access)
        : await callOnPool(modern, this.#domain, address, byteLength, iova, access)
    const call = modern === undefined ? "ibv_reg_mr" : "ibv_reg_mr_iova2"
    if (region === 0) {
      throw osError(call, code, {
        what: `${this.device.name} refused to register ${byteLength} bytes`,
        next: "check the limit of locked memory (ulimit -l), and that the memory is mapped",
      })
    }
    const fields = fieldsAt(region, abi["sizeof.ibv_mr"])
    return {
      lkey: fields.getUint32(abi["ibv_mr.lkey"], true),
      rkey: fields.getUint32(abi["ibv_mr.rkey"], true),
      iova: modern === undefined ? address : iova,
      close: async () => {
        const { result } = await callOnPool(functions.ibv_dereg_mr, region)
        if (result !== 0)
          throw osError("ibv_dereg_mr", result, { what: `${this.device.name} cannot give a region back` })
      },
    }
  }

  /** Asks the driver for a registration by a dma-buf that is none: only what it answers first matters. */
  probeDmaBuf(): DmaBufSupport {
    const register = this.device.ibv.optional.ibv_reg_dmabuf_mr
    if (register === undefined)
      return {
        supported: false,
        why: `${this.device.ibv.file} has no ibv_reg_dmabuf_mr: it is older than rdma-core 34`,
      }
    const region = register(this.#domain, 0, probeBytes, 0, noFile, abi.IBV_ACCESS_LOCAL_WRITE)
    const code = region === 0 ? errno() : 0
    if (region !== 0) this.device.ibv.functions.ibv_dereg_mr(region)
    if (unsupported.has(errnoName(code)))
      return {
        supported: false,
        why: `not supported by this driver: ibv_reg_dmabuf_mr answered ${errnoName(code)} (${code})`,
      }
    return { supported: true, why: `ibv_reg_dmabuf_mr looked at the descriptor (${errnoName(code)})` }
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.splice(0).reverse()) undo()
  }
}

/** Whether memory that is not host memory can be registered, and how that is known. */
export interface DmaBufSupport {
  readonly supported: boolean
  readonly why: string
}

/** True when this machine's libibverbs has the call that relaxed ordering needs. */
export function hasRegistrationWithIova(): boolean {
  return openIbverbs().optional.ibv_reg_mr_iova2 !== undefined
}
