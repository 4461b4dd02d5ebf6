import { ibverbsAbi as abi } from "../ffi/ibverbs-abi.ts"
import { errno } from "../ffi/symbols.ts"
import { osError } from "../os-error.ts"
import { argumentMemory, fieldsAt, writeAddress } from "./native-fields.ts"
import type { VerbsRail } from "./verbs-rail.ts"

/** How large a queue pair is made. */
export interface QueueDepths {
  readonly send: number
  readonly receive: number
}

/** One end of a connected pair, as the other end must know it. */
export interface QueuePairAddress {
  readonly queuePair: number
  /** First packet sequence number that this end sends. */
  readonly sequence: number
  /** 32 hexadecimal digits. */
  readonly gid: string
  /** Local id on an InfiniBand subnet; 0 on Ethernet. */
  readonly lid: number
}

/** How two ends are connected. */
export interface ConnectParameters {
  readonly peer: QueuePairAddress
  readonly port: number
  readonly gidIndex: number
  /** True where packets carry a global header: always on Ethernet. */
  readonly global: boolean
  /** `IBV_MTU_*`: the smaller of both ends. */
  readonly mtu: number
  /** Of the packets' global header, 0 to 255. */
  readonly trafficClass: number
  /** 0 to 15. */
  readonly serviceLevel: number
  readonly sequence: number
  /** Reads under way that this end asks for, and answers. */
  readonly readsAsked: number
  readonly readsAnswered: number
  /** A packet that is not acknowledged is sent again after 4.096 µs * 2^timeout … */
  readonly timeout: number
  /** … so many times. Never 7: some providers take it for "for ever". */
  readonly retries: number
}

const receiverNotReadyTimer = 12
const receiverNotReadyRetries = 6
const hopLimit = 64

/** A reliable connected queue pair on the main thread: made, connected, destroyed. */
export class QueuePair {
  /** `struct ibv_qp *`. */
  readonly pointer: number
  readonly number: number
  readonly #rail: VerbsRail

  /** @throws KvError KV_OS. */
  constructor(rail: VerbsRail, depths: QueueDepths) {
    this.#rail = rail
    const { address, data } = argumentMemory()
    const { completionQueue } = rail.pointers
    writeAddress(data, abi["ibv_qp_init_attr.send_cq"], completionQueue)
    writeAddress(data, abi["ibv_qp_init_attr.recv_cq"], completionQueue)
    data.setUint32(abi["ibv_qp_init_attr.cap.max_send_wr"], depths.send, true)
    data.setUint32(abi["ibv_qp_init_attr.cap.max_recv_wr"], depths.receive, true)
    data.setUint32(abi["ibv_qp_init_attr.cap.max_send_sge"], 1, true)
    data.setUint32(abi["ibv_qp_init_attr.cap.max_recv_sge"], 1, true)
    data.setInt32(abi["ibv_qp_init_attr.qp_type"], abi.IBV_QPT_RC, true)
    this.pointer = rail.device.ibv.functions.ibv_create_qp(rail.domain, address)
    if (this.pointer === 0) {
      throw osError("ibv_create_qp", errno(), {
        what: `${rail.device.name} refused a queue pair for ${depths.send} sends and ${depths.receive} receives`,
        next: "close some peers; see the device's limits with ibv_devinfo -v",
      })
    }
    const at = abi["ibv_qp.qp_num"]
    this.number = fieldsAt(this.pointer, at + 4).getUint32(at, true)
  }

  /**
   * Readies it to be connected.
   * @param access bits of `IBV_ACCESS_*` that the peer has through this pair.
   * @param pkeyIndex row of the port's partition key table.
   */
  initialize(port: number, access: number, pkeyIndex = 0): void {
    const mask = abi.IBV_QP_STATE | abi.IBV_QP_PKEY_INDEX | abi.IBV_QP_PORT | abi.IBV_QP_ACCESS_FLAGS
    this.#modify("to INIT", mask, (data) => {
      data.setInt32(abi["ibv_qp_attr.qp_state"], abi.IBV_QPS_INIT, true)
      data.setUint32(abi["ibv_qp_attr.qp_access_flags"], access, true)
      data.setUint16(abi["ibv_qp_attr.pkey_index"], pkeyIndex, true)
      data.setUint8(abi["ibv_qp_attr.port_num"], port)
    })
  }

  /** Lets it receive, then send. @throws KvError KV_OS, KV_PEER_UNREACHABLE. */
  connect(to: ConnectParameters): void {
    this.#readyToReceive(to)
    const mask =
      abi.IBV_QP_STATE |
      abi.IBV_QP_TIMEOUT |
      abi.IBV_QP_RETRY_CNT |
      abi.IBV_QP_RNR_RETRY |
      abi.IBV_QP_SQ_PSN |
      abi.IBV_QP_MAX_QP_RD_ATOMIC
    this.#modify("to RTS", mask, (data) => {
      data.setInt32(abi["ibv_qp_attr.qp_state"], abi.IBV_QPS_RTS, true)
      data.setUint32(abi["ibv_qp_attr.sq_psn"], to.sequence, true)
      data.setUint8(abi["ibv_qp_attr.max_rd_atomic"], to.readsAsked)
      data.setUint8(abi["ibv_qp_attr.timeout"], to.timeout)
      data.setUint8(abi["ibv_qp_attr.retry_cnt"], to.retries)
      data.setUint8(abi["ibv_qp_attr.rnr_retry"], receiverNotReadyRetries)
    })
  }

  destroy(): void {
    const code = this.#rail.device.ibv.functions.ibv_destroy_qp(this.pointer)
    if (code !== 0)
      throw osError("ibv_destroy_qp", code, {
        what: `a queue pair of ${this.#rail.device.name} cannot be closed`,
      })
  }

  #readyToReceive(to: ConnectParameters): void {
    const mask =
      abi.IBV_QP_STATE |
      abi.IBV_QP_AV |
      abi.IBV_QP_PATH_MTU |
      abi.IBV_QP_DEST_QPN |
      abi.IBV_QP_RQ_PSN |
      abi.IBV_QP_MAX_DEST_RD_ATOMIC |
      abi.IBV_QP_MIN_RNR_TIMER
    this.#modify("to RTR", mask, (data) => {
      const handle = abi["ibv_qp_attr.ah_attr"]
      const route = handle + abi["ibv_ah_attr.grh"]
      data.setInt32(abi["ibv_qp_attr.qp_state"], abi.IBV_QPS_RTR, true)
      data.setInt32(abi["ibv_qp_attr.path_mtu"], to.mtu, true)
      data.setUint32(abi["ibv_qp_attr.rq_psn"], to.peer.sequence, true)
      data.setUint32(abi["ibv_qp_attr.dest_qp_num"], to.peer.queuePair, true)
      data.setUint16(handle + abi["ibv_ah_attr.dlid"], to.peer.lid, true)
      data.setUint8(handle + abi["ibv_ah_attr.port_num"], to.port)
      data.setUint8(handle + abi["ibv_ah_attr.sl"], to.serviceLevel)
      if (to.global) {
        new Uint8Array(data.buffer, data.byteOffset + route + abi["ibv_global_route.dgid"], 16).set(
          Buffer.from(to.peer.gid, "hex"),
        )
        data.setUint8(route + abi["ibv_global_route.sgid_index"], to.gidIndex)
        data.setUint8(route + abi["ibv_global_route.hop_limit"], hopLimit)
        data.setUint8(route + abi["ibv_global_route.traffic_class"], to.trafficClass)
        data.setUint8(handle + abi["ibv_ah_attr.is_global"], 1)
      }
      data.setUint8(abi["ibv_qp_attr.max_dest_rd_atomic"], to.readsAnswered)
      data.setUint8(abi["ibv_qp_attr.min_rnr_timer"], receiverNotReadyTimer)
    })
  }

  #modify(step: string, mask: number, set: (data: DataView) => void): void {
    const { address, data } = argumentMemory()
    set(data)
    const code = this.#rail.device.ibv.functions.ibv_modify_qp(this.pointer, address, mask)
    if (code === 0) return
    throw osError(
      "ibv_modify_qp",
      code,
      {
        what: `a queue pair of ${this.#rail.device.name} could not go ${step}`,
        next: "check that the link is up on both sides, and that the GID index belongs to the peer's network",
      },
      "KV_PEER_UNREACHABLE",
    )
  }
}
