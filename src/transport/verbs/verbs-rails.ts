import { randomInt } from "node:crypto"
import { KvError } from "../../errors/kv-error.ts"
import { ibverbsAbi as abi } from "../../os/ffi/ibverbs-abi.ts"
import type { RdmaPort } from "../../os/rdma-devices.ts"
import { QueuePair, type QueuePairAddress } from "../../os/verbs/queue-pair.ts"
import type { DeviceLimits, PortState, VerbsContext } from "../../os/verbs/verbs-context.ts"
import { VerbsRail } from "../../os/verbs/verbs-rail.ts"
import type { LocalLane, LocalRail, Plain, RailCard, Registration } from "../rdma/driver.ts"
import type { Rights } from "../transport.ts"
import type { ChosenGid } from "./choose-gid.ts"
import { accessFlagNames, type RelaxedOrdering } from "./relaxed-ordering.ts"
import type { VerbsLaneHandle } from "./verbs-lane.ts"
import type { VerbsPath } from "./verbs-options.ts"

/** Places of a lane's send queue beside those for units, and receives that it keeps posted: both for notices. */
const noticeDepth = 32
const receiveDepth = 64
/** Lanes that one rail has at most; fewer where the device's completion queues are too short for their completions. */
const lanesMax = 64
/** A packet that is not acknowledged is sent again after 67 ms, 6 times: a dead peer is known after half a second. */
const timeout = 14
const retries = 6
/** Reads under way on a lane, as far as both NICs can. */
const readsMax = 16

/** What was chosen for a rail, before its device was opened. */
export interface VerbsRailChoice {
  readonly port: RdmaPort
  readonly gid: ChosenGid
  readonly ordering: RelaxedOrdering
  readonly path: VerbsPath
  /** Where its device stands; absent where the machine does not say. */
  readonly numaNode?: number
  /** How fast it is beside the other rails; 1 where nobody knows. */
  readonly rate: number
}

/** One port of an RDMA device as a rail. */
export class VerbsLocalRail implements LocalRail {
  readonly card: RailCard
  readonly facts: Readonly<Record<string, string>>
  readonly messageBytesMax: number
  readonly registrationBytesMax: number
  readonly port: unknown
  readonly #rail: VerbsRail
  readonly #limits: DeviceLimits
  readonly #state: PortState
  readonly #choice: VerbsRailChoice
  readonly #lanesMax: number
  readonly #sendDepth: number
  /** `IBV_MTU_*`: what the port has, or less where that was asked for. */
  readonly #mtu: number
  #lanes = 0

  /** Takes the device over, and closes it in the end. @throws KvError KV_OS. */
  constructor(device: VerbsContext, choice: VerbsRailChoice) {
    const { port, gid, ordering, rate, path, numaNode } = choice
    const limits = device.limits()
    this.#limits = limits
    this.#state = device.port(port.port)
    this.#choice = choice
    this.#sendDepth = Math.min(path.queueDepth + noticeDepth, limits.workRequestsMax)
    this.#mtu = Math.min(this.#state.mtu, mtuCode(path.mtu))
    // A queue that overflows is lost for good: every request of every lane has a place in it.
    const perLane = this.#sendDepth + receiveDepth
    this.#lanesMax = Math.min(lanesMax, Math.floor(limits.completionsMax / perLane))
    this.#rail = new VerbsRail(device, this.#lanesMax * perLane)
    this.card = { device: device.name, link: gid.link, network: gid.network, rate }
    this.facts = {
      device: `${device.name} port ${port.port} (${port.linkLayer})`,
      port: `${port.state}, packets of ${mtuBytes(this.#mtu)} bytes${port.gigabits === undefined ? "" : `, ${port.gigabits} Gb/s`}`,
      "NUMA node": numaNode === undefined ? "not said" : String(numaNode),
      gid: gid.why,
      network: gid.network,
      ordering: ordering.why,
      "memory of other devices": this.#rail.probeDmaBuf().why,
    }
    this.messageBytesMax = this.#state.messageBytesMax
    this.registrationBytesMax = limits.regionBytesMax
    this.port = this.#rail.pointers
  }

  async register(address: number, byteLength: number, access: Rights, iova: number): Promise<Registration> {
    const bits = abi.IBV_ACCESS_LOCAL_WRITE | rightsBits(access) | this.#choice.ordering.flags
    const { lkey, rkey, iova: given, close } = await this.#rail.register(address, byteLength, iova, bits)
    return {
      localKey: lkey,
      remoteKey: rkey,
      iova: given,
      localAddress: given,
      flags: accessFlagNames(bits),
      close,
    }
  }

  async openLane(rights: Rights): Promise<LocalLane> {
    if (this.#lanes >= this.#lanesMax) {
      throw new KvError("KV_LIMIT", {
        what: `${this.#lanesMax} lanes are open on ${this.card.device} already`,
        next: "close some peers",
      })
    }
    const depths = { send: this.#sendDepth, receive: receiveDepth }
    const pair = new QueuePair(this.#rail, depths)
    try {
      pair.initialize(this.#state.port, rightsBits(rights), this.#choice.path.pkeyIndex)
    } catch (thrown) {
      pair.destroy()
      throw thrown
    }
    this.#lanes += 1
    const { gid, path } = this.#choice
    const state = this.#state
    const sequence = randomInt(2 ** 24)
    const end = {
      queuePair: pair.number,
      sequence,
      gid: gid.gid,
      lid: state.lid,
      mtu: this.#mtu,
      readsAsked: Math.min(readsMax, this.#limits.readsAskedMax),
      readsAnswered: Math.min(readsMax, this.#limits.readsAnsweredMax),
    }
    const handle: VerbsLaneHandle = {
      queuePair: pair.pointer,
      sendDepth: depths.send,
      receiveDepth: depths.receive,
    }
    return {
      end,
      handle,
      connect: async (plain) => {
        const peer = readEnd(plain)
        pair.connect({
          peer,
          port: state.port,
          gidIndex: gid.index,
          global: gid.global,
          mtu: Math.min(end.mtu, peer.mtu),
          trafficClass: path.trafficClass,
          serviceLevel: path.serviceLevel,
          sequence,
          readsAsked: Math.min(end.readsAsked, peer.readsAnswered),
          readsAnswered: Math.min(end.readsAnswered, peer.readsAsked),
          timeout,
          retries,
        })
      },
      close: async () => {
        this.#lanes -= 1
        pair.destroy()
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rail[Symbol.dispose]()
    this.#rail.device[Symbol.dispose]()
  }
}

/** `IBV_MTU_256` is 1, and each next one is twice as long. */
const mtuCode = (bytes: number): number => Math.log2(bytes) - 7
const mtuBytes = (code: number): number => 2 ** (code + 7)

interface PeerEnd extends QueuePairAddress {
  readonly mtu: number
  readonly readsAsked: number
  readonly readsAnswered: number
}

/** @throws KvError KV_PEER_REFUSED for what no honest peer sends. */
function readEnd(end: Plain): PeerEnd {
  const whole = (name: string, min: number, max: number): number => {
    const value = end[name]
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value
    throw malformed(name)
  }
  const { gid } = end
  if (typeof gid !== "string" || !/^[0-9a-f]{32}$/.test(gid)) throw malformed("gid")
  return {
    queuePair: whole("queuePair", 0, 2 ** 24 - 1),
    sequence: whole("sequence", 0, 2 ** 24 - 1),
    gid,
    lid: whole("lid", 0, 65535),
    mtu: whole("mtu", abi.IBV_MTU_256, abi.IBV_MTU_4096),
    readsAsked: whole("readsAsked", 0, 255),
    readsAnswered: whole("readsAnswered", 0, 255),
  }
}

const rightsBits = ({ read, write }: Rights): number =>
  (read ? abi.IBV_ACCESS_REMOTE_READ : 0) | (write ? abi.IBV_ACCESS_REMOTE_WRITE : 0)

const malformed = (field: string): KvError =>
  new KvError("KV_PEER_REFUSED", { what: `the peer's end of a lane has a ${field} that makes no sense` })
