import { KvError } from "../../errors/kv-error.ts"
import type { LookResult, ProcessMemory, RemoteRange } from "../../os/process-memory.ts"
import type { RegionDescriptor, Session } from "../transport.ts"
import {
  allows,
  beaconMark,
  headerBytes,
  headerWord,
  proofAt,
  proofBytes,
  regionBytes,
  regionFloat,
  regionsMax,
  regionWord,
  sessionBytes,
  sessionProof,
  sessionsMax,
  sessionWord,
  tableAt,
  tokenAt,
  tokenBytes,
} from "./beacon-layout.ts"
import type { CmaAddress } from "./cma-address.ts"

/** A region of the peer as its beacon shows it: taken from there, never from a descriptor alone. */
export interface PeerRegion {
  readonly region: number
  readonly slot: number
  readonly rkey: number
  readonly address: number
  readonly byteLength: number
}

/** Bytes that the largest look at a beacon gathers. */
export const lookBytes =
  headerBytes + Math.max(sessionsMax * sessionBytes, sessionBytes + regionsMax * regionBytes)

/** Looks at a beacon for the first time. Returns its pid's answer, or that no beacon is there. */
export function findBeacon(memory: ProcessMemory, address: CmaAddress): LookResult | "no beacon" | "closed" {
  const answer = memory.look(address.pid, [{ address: address.beacon, byteLength: headerBytes }])
  if (answer !== "") return answer
  const { u8, u32 } = memory.found
  if (!isBeacon(u8, address.token)) return "no beacon"
  return u32[headerWord.alive] === 1 ? "" : "closed"
}

/** The beacon of a peer, seen by one session. */
export class PeerBeacon {
  readonly #memory: ProcessMemory
  readonly #address: CmaAddress
  readonly #proof: Buffer
  readonly #ranges: RemoteRange[]
  readonly #session: number
  #regionsSeen = 0

  /** @throws KvError KV_PEER_UNTRUSTED when the peer did not admit the session. */
  constructor(memory: ProcessMemory, address: CmaAddress, session: Session) {
    this.#memory = memory
    this.#address = address
    this.#proof = sessionProof(session, address.token)
    const slot = this.#findSession()
    if (slot < 0) throw new KvError("KV_PEER_UNTRUSTED", { what: "the peer does not know this session" })
    this.#session = address.beacon + tableAt.sessions + slot * sessionBytes
    this.#ranges = [
      { address: address.beacon, byteLength: headerBytes },
      { address: this.#session, byteLength: sessionBytes },
      { address: address.beacon + tableAt.regions, byteLength: 0 },
    ]
  }

  /**
   * Checks that the peer lives, still admits the session to `direction`, and still has these regions.
   * @throws KvError KV_PEER_LOST, KV_PEER_UNTRUSTED, KV_RKEY_REJECTED.
   */
  confirm(direction: "read" | "write" | undefined, regions: readonly PeerRegion[]): void {
    this.#look()
    const { u32 } = this.#memory.found
    const rights = u32[headerBytes / 4 + sessionWord.rights]!
    if (direction !== undefined && !allows(rights, direction)) throw notGranted(direction)
    for (const { region, slot, rkey } of regions) {
      const at = (headerBytes + sessionBytes + slot * regionBytes) / 4
      const live = slot < this.#regionsSeen && u32[at + regionWord.live] === 1
      if (!live) throw rejectedKey(region, "the peer closed it")
      if (u32[at + regionWord.region] !== region || u32[at + regionWord.rkey] !== rkey) {
        throw rejectedKey(region, `key ${rkey} is no longer its key`)
      }
    }
  }

  /** The peer's regions that `wanted` describes, with the peer's own word on where they lie. */
  regions(direction: "read" | "write", wanted: readonly RegionDescriptor[]): PeerRegion[] {
    this.confirm(direction, [])
    // Whoever has more regions than at the last look is looked at again, in full.
    const { u8, u32 } = this.#memory.found
    const floats = new Float64Array(u8.buffer, u8.byteOffset, u8.byteLength / 8)
    const start = headerBytes + sessionBytes
    const slots = new Map<number, number>()
    for (let slot = 0; slot < this.#regionsSeen; slot++) {
      const at = (start + slot * regionBytes) / 4
      if (u32[at + regionWord.live] === 1) slots.set(u32[at + regionWord.region]!, slot)
    }
    return wanted.map(({ region, rkeys, iova }) => {
      const slot = slots.get(region)
      if (slot === undefined) throw rejectedKey(region, "the peer closed it, or never had it")
      const at = start + slot * regionBytes
      const rkey = u32[at / 4 + regionWord.rkey]!
      const address = floats[at / 8 + regionFloat.address]!
      const byteLength = floats[at / 8 + regionFloat.byteLength]!
      if (!rkeys.includes(rkey)) throw rejectedKey(region, `key ${rkeys[0]} is not, or no longer, its key`)
      if (address !== iova) throw rejectedKey(region, `it does not start where its descriptor says`)
      if (!Number.isSafeInteger(address) || !Number.isSafeInteger(byteLength)) {
        throw rejectedKey(region, "its beacon holds numbers that are none")
      }
      if (!allows(u32[at / 4 + regionWord.access]!, direction)) throw notGranted(direction)
      return { region, slot, rkey, address, byteLength }
    })
  }

  /** Tells the peer how many writes into its memory this process has begun and ended. */
  tellWrites(begun: number, ended: number): void {
    const { u32 } = this.#memory.found
    u32[0] = process.pid
    u32[1] = begun >>> 0
    u32[2] = ended >>> 0
    const range = { address: this.#session + sessionWord.writer * 4, byteLength: 12 }
    const answer = this.#memory.put(this.#address.pid, range)
    if (answer !== "") throw this.#lost(answer)
  }

  #findSession(): number {
    const sessions = {
      address: this.#address.beacon + tableAt.sessions,
      byteLength: sessionsMax * sessionBytes,
    }
    const answer = this.#memory.look(this.#address.pid, [
      { address: this.#address.beacon, byteLength: headerBytes },
      sessions,
    ])
    if (answer !== "") throw this.#lost(answer)
    for (let slot = 0; slot < sessionsMax; slot++) {
      if (this.#admits(headerBytes + slot * sessionBytes)) return slot
    }
    return -1
  }

  /** True when the entry at byte `at` of what was found is this session's, and lets it in. */
  #admits(at: number): boolean {
    const { u8, u32 } = this.#memory.found
    if (u32[at / 4 + sessionWord.admitted] !== 1) return false
    return this.#proof.equals(u8.subarray(at + proofAt, at + proofAt + proofBytes))
  }

  /** Reads header, session and regions. @throws KvError KV_PEER_LOST. */
  #look(): void {
    for (;;) {
      const answer = this.#memory.look(this.#address.pid, this.#ranges)
      if (answer !== "") throw this.#lost(answer)
      const { u8, u32 } = this.#memory.found
      if (!isBeacon(u8, this.#address.token)) throw this.#lost("its beacon is no longer there")
      if (u32[headerWord.alive] !== 1) throw this.#lost("it closed its cma endpoint")
      if (!this.#admits(headerBytes)) throw this.#lost("it ended the session")
      const used = Math.min(regionsMax, u32[headerWord.regionsUsed]!)
      if (used <= this.#regionsSeen) return
      this.#regionsSeen = used
      this.#ranges[2] = { address: this.#address.beacon + tableAt.regions, byteLength: used * regionBytes }
    }
  }

  #lost(why: string): KvError {
    return new KvError("KV_PEER_LOST", {
      what: `process ${this.#address.pid} can no longer be read`,
      why: why === "ESRCH" ? "it is gone" : why === "EFAULT" ? "its memory is not what it was" : why,
    })
  }
}

function isBeacon(u8: Uint8Array, token: string): boolean {
  const mark = Buffer.from(u8.buffer, u8.byteOffset, beaconMark.byteLength)
  if (!beaconMark.equals(mark)) return false
  return Buffer.from(u8.buffer, u8.byteOffset + tokenAt, tokenBytes).toString("hex") === token
}

const notGranted = (direction: string): KvError =>
  new KvError("KV_PEER_UNTRUSTED", { what: `the peer did not grant a ${direction}` })

function rejectedKey(region: number, why: string): KvError {
  return new KvError("KV_RKEY_REJECTED", {
    what: `the key of region ${region} was rejected`,
    why,
    next: "connect again to fetch the peer's present descriptors",
  })
}
