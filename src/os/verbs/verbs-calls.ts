import type { ControlBlock, ControlMemory } from "../control-memory.ts"
import { type Ibverbs, openIbverbs } from "../ffi/ibverbs.ts"
import { ibverbsAbi as abi } from "../ffi/ibverbs-abi.ts"
import { bindPointer } from "../ffi/symbols.ts"
import { fieldsAt, readAddress } from "./native-fields.ts"
import type { VerbsRailPointers } from "./verbs-rail.ts"
import { swapped } from "./work-requests.ts"

const slots = {
  // int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_wr)
  post_send: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_wr)
  post_recv: { result: "i32", parameters: ["ptr", "ptr", "ptr"] },
  // int poll_cq(struct ibv_cq *cq, int num_entries, struct ibv_wc *wc)
  poll_cq: { result: "i32", parameters: ["ptr", "i32", "ptr"] },
  // int req_notify_cq(struct ibv_cq *cq, int solicited_only)
  req_notify_cq: { result: "i32", parameters: ["ptr", "i32"] },
} as const

/** Completions that one poll takes at most. */
const completionsPerPoll = 64
const completionWords = abi["sizeof.ibv_wc"] / 4
const wc = {
  id: abi["ibv_wc.wr_id"] / 4,
  status: abi["ibv_wc.status"] / 4,
  opcode: abi["ibv_wc.opcode"] / 4,
  vendor: abi["ibv_wc.vendor_err"] / 4,
  immediate: abi["ibv_wc.imm_data"] / 4,
  queuePair: abi["ibv_wc.qp_num"] / 4,
  flags: abi["ibv_wc.wc_flags"] / 4,
} as const
/** Received messages have this bit in their opcode. */
const receivedBit = abi.IBV_WC_RECV

const slot = (name: keyof typeof slots): number => abi[`ibv_context.ops.${name}`]

/** What one thread calls on one rail: posting, polling, and asking to be woken up. Nothing here waits. */
export class VerbsCalls {
  readonly #ibv: Ibverbs
  readonly #pointers: VerbsRailPointers
  readonly #postSend: (queuePair: number, first: number, bad: number) => number
  readonly #postReceive: (queuePair: number, first: number, bad: number) => number
  readonly #poll: (queue: number, count: number, into: number) => number
  readonly #notify: (queue: number, solicitedOnly: number) => number
  readonly #cell: ControlBlock
  readonly #completions: ControlBlock
  readonly #receives: ControlBlock
  readonly #attributes: ControlBlock

  static readonly controlBytes = 8192

  constructor(pointers: VerbsRailPointers, memory: ControlMemory) {
    this.#ibv = openIbverbs()
    this.#pointers = pointers
    const context = fieldsAt(pointers.context, abi["ibv_context.async_fd"] + 4)
    const bind = <S extends keyof typeof slots>(name: S) =>
      bindPointer(readAddress(context, slot(name)), `ibv_${name}`, slots[name])
    this.#postSend = bind("post_send")
    this.#postReceive = bind("post_recv")
    this.#poll = bind("poll_cq")
    this.#notify = bind("req_notify_cq")
    this.#cell = memory.take(64)
    this.#completions = memory.take(completionsPerPoll * abi["sizeof.ibv_wc"])
    this.#receives = memory.take(abi["sizeof.ibv_recv_wr"])
    this.#attributes = memory.take(abi["sizeof.ibv_qp_attr"])
  }

  /** Posts a chain. Returns 0, or the errno: then `firstRefused` is the address of the first request not taken. */
  postSend(queuePair: number, first: number): number {
    return this.#postSend(queuePair, first, this.#cell.address)
  }

  get firstRefused(): number {
    return readAddress(this.#cell.data, 0)
  }

  /** Posts one receive without memory, for a notice. Returns 0 or the errno. */
  postReceive(queuePair: number, idLow: number, idHigh: number): number {
    this.#receives.u32[abi["ibv_recv_wr.wr_id"] / 4] = idLow
    this.#receives.u32[abi["ibv_recv_wr.wr_id"] / 4 + 1] = idHigh
    return this.#postReceive(queuePair, this.#receives.address, this.#cell.address)
  }

  /** Takes completions off the queue: how many there are now to look at, or a negative errno. */
  poll(): number {
    return this.#poll(this.#pointers.completionQueue, completionsPerPoll, this.#completions.address)
  }

  idLow(i: number): number {
    return this.#completions.u32[i * completionWords + wc.id]!
  }

  idHigh(i: number): number {
    return this.#completions.u32[i * completionWords + wc.id + 1]!
  }

  /** `IBV_WC_*`. */
  status(i: number): number {
    return this.#completions.u32[i * completionWords + wc.status]!
  }

  vendorCode(i: number): number {
    return this.#completions.u32[i * completionWords + wc.vendor]!
  }

  /** The immediate of a received message; undefined for the completion of one of our own requests. */
  immediate(i: number): number | undefined {
    const words = this.#completions.u32
    const w = i * completionWords
    if ((words[w + wc.opcode]! & receivedBit) === 0) return undefined
    return (words[w + wc.flags]! & abi.IBV_WC_WITH_IMM) === 0 ? undefined : swapped(words[w + wc.immediate]!)
  }

  /** Asks for the channel's descriptor to become readable with the next completion. */
  requestNotification(): void {
    this.#notify(this.#pointers.completionQueue, 0)
  }

  /** The channel's descriptor was readable: takes the event. */
  takeNotification(): void {
    const { address } = this.#cell
    const taken = this.#ibv.functions.ibv_get_cq_event(this.#pointers.channel, address, address + 8)
    if (taken === 0) this.#ibv.functions.ibv_ack_cq_events(this.#pointers.completionQueue, 1)
  }

  /** The device's own descriptor was readable: takes the event, an `IBV_EVENT_*`; -1 when there was none. */
  takeDeviceEvent(): { readonly type: number; readonly element: number } {
    const { address, data } = this.#cell
    if (this.#ibv.functions.ibv_get_async_event(this.#pointers.context, address) !== 0)
      return { type: -1, element: 0 }
    const type = data.getInt32(abi["ibv_async_event.event_type"], true)
    const element = readAddress(data, abi["ibv_async_event.element"])
    this.#ibv.functions.ibv_ack_async_event(address)
    return { type, element }
  }

  /** Puts a queue pair into its error state: everything posted on it is flushed. Returns 0 or the errno. */
  fail(queuePair: number): number {
    const { address, data } = this.#attributes
    data.setInt32(abi["ibv_qp_attr.qp_state"], abi.IBV_QPS_ERR, true)
    return this.#ibv.functions.ibv_modify_qp(queuePair, address, abi.IBV_QP_STATE)
  }
}
