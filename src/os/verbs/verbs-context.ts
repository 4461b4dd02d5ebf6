import { type Ibverbs, openIbverbs } from "../ffi/ibverbs.ts"
import { ibverbsAbi as abi } from "../ffi/ibverbs-abi.ts"
import { errno } from "../ffi/symbols.ts"
import { osError } from "../os-error.ts"
import { argumentMemory, readAddress } from "./native-fields.ts"

/** What a device can do at most, of what we look at. */
export interface DeviceLimits {
  /** Longest memory region in bytes, made a safe number. */
  readonly regionBytesMax: number
  readonly workRequestsMax: number
  readonly completionsMax: number
  /** Reads that one queue pair may have under way as the one that answers, and as the one that asks. */
  readonly readsAnsweredMax: number
  readonly readsAskedMax: number
  readonly ports: number
}

/** One port of an opened device, of what its state in sysfs does not say. */
export interface PortState {
  readonly port: number
  /** `IBV_MTU_*`. */
  readonly mtu: number
  readonly lid: number
  readonly messageBytesMax: number
}

/** An opened RDMA device. Whatever was made from it is closed before it. */
export class VerbsContext implements Disposable {
  readonly name: string
  /** `struct ibv_context *`. */
  readonly pointer: number
  readonly ibv: Ibverbs
  #open = true

  constructor(name: string, pointer: number) {
    this.name = name
    this.pointer = pointer
    this.ibv = openIbverbs()
  }

  /** @throws KvError KV_OS. */
  limits(): DeviceLimits {
    const { address, data } = argumentMemory()
    const code = this.ibv.functions.ibv_query_device(this.pointer, address)
    if (code !== 0)
      throw osError("ibv_query_device", code, { what: `${this.name} cannot be asked for its limits` })
    const i32 = (offset: number): number => data.getInt32(offset, true)
    return {
      regionBytesMax: Math.min(
        readAddress(data, abi["ibv_device_attr.max_mr_size"]),
        Number.MAX_SAFE_INTEGER,
      ),
      workRequestsMax: i32(abi["ibv_device_attr.max_qp_wr"]),
      completionsMax: i32(abi["ibv_device_attr.max_cqe"]),
      readsAnsweredMax: i32(abi["ibv_device_attr.max_qp_rd_atom"]),
      readsAskedMax: i32(abi["ibv_device_attr.max_qp_init_rd_atom"]),
      ports: data.getUint8(abi["ibv_device_attr.phys_port_cnt"]),
    }
  }

  /** @param port counted from 1. @throws KvError KV_OS. */
  port(port: number): PortState {
    const { address, data } = argumentMemory()
    const code = this.ibv.functions.ibv_query_port(this.pointer, port, address)
    if (code !== 0)
      throw osError("ibv_query_port", code, { what: `port ${port} of ${this.name} cannot be looked at` })
    return {
      port,
      mtu: data.getInt32(abi["ibv_port_attr.active_mtu"], true),
      lid: data.getUint16(abi["ibv_port_attr.lid"], true),
      messageBytesMax: data.getUint32(abi["ibv_port_attr.max_msg_sz"], true),
    }
  }

  /** @throws KvError KV_OS when something made from it is still open. */
  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    if (this.ibv.functions.ibv_close_device(this.pointer) !== 0)
      throw osError("ibv_close_device", errno(), { what: `${this.name} cannot be closed` })
  }
}
