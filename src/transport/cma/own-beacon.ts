import { randomBytes, randomInt } from "node:crypto"
import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { type ControlBlock, ControlMemory } from "../../os/control-memory.ts"
import { startTicksOf } from "../../os/process-identity.ts"
import type { Rights, Session } from "../transport.ts"
import {
  beaconBytes,
  beaconMark,
  headerWord,
  proofAt,
  proofBytes,
  regionBytes,
  regionFloat,
  regionsMax,
  regionWord,
  rightsBits,
  sessionBytes,
  sessionProof,
  sessionsMax,
  sessionWord,
  tableAt,
  tokenAt,
  tokenBytes,
} from "./beacon-layout.ts"

/** The beacon of this side's endpoint. */
export class OwnBeacon implements Disposable {
  readonly token = randomBytes(tokenBytes).toString("hex")
  readonly #memory = new ControlMemory(beaconBytes)
  readonly #block: ControlBlock
  readonly #floats: Float64Array
  /** Slots in use, by session id and by region. */
  readonly #sessions = new Map<string, number>()
  readonly #regions = new Map<number, number>()

  constructor() {
    this.#block = this.#memory.take(beaconBytes)
    const { u8 } = this.#block
    this.#floats = new Float64Array(u8.buffer, u8.byteOffset, beaconBytes / 8)
    u8.set(Buffer.from(this.token, "hex"), tokenAt)
    this.#store(headerWord.alive, 1)
    u8.set(beaconMark)
  }

  get address(): number {
    return this.#block.address
  }

  /** Lets the holder of the session's key in. @throws KvError KV_LIMIT. */
  admit(session: Session, rights: Rights): void {
    const slot = this.#sessions.get(session.id) ?? freeSlot(this.#sessions, sessionsMax, "sessions")
    this.#sessions.set(session.id, slot)
    const at = tableAt.sessions + slot * sessionBytes
    this.#store(at / 4 + sessionWord.admitted, 0)
    this.#block.u8.set(sessionProof(session, this.token), at + proofAt)
    this.#store(at / 4 + sessionWord.rights, rightsBits(rights))
    this.#store(at / 4 + sessionWord.admitted, 1)
  }

  /** Takes a session back. Its slot is free once `forget` was called. */
  dismiss(id: string): void {
    const slot = this.#sessions.get(id)
    if (slot === undefined) return
    const at = tableAt.sessions + slot * sessionBytes
    this.#store(at / 4 + sessionWord.admitted, 0)
    this.#block.u8.fill(0, at + proofAt, at + proofAt + proofBytes)
  }

  /** Frees the slot of a dismissed session that nobody writes under any more. */
  forget(id: string): void {
    const slot = this.#sessions.get(id)
    if (slot === undefined) return
    const at = tableAt.sessions + slot * sessionBytes
    this.#block.u8.fill(0, at, at + sessionBytes)
    this.#sessions.delete(id)
  }

  /** Makes a region known. Returns its key. @throws KvError KV_LIMIT. */
  register(region: number, span: MemorySpan, access: Rights): number {
    assert(!this.#regions.has(region), `region ${region} is registered once: its old key would outlive it`)
    const slot = freeSlot(this.#regions, regionsMax, "regions")
    // Random, so that a key from before does not open what lies there now.
    const rkey = randomInt(2 ** 32)
    const at = tableAt.regions + slot * regionBytes
    this.#store(at / 4 + regionWord.region, region)
    this.#store(at / 4 + regionWord.rkey, rkey)
    this.#store(at / 4 + regionWord.access, rightsBits(access))
    this.#floats[at / 8 + regionFloat.address] = span.addressOf(0, span.byteLength)
    this.#floats[at / 8 + regionFloat.byteLength] = span.byteLength
    this.#store(at / 4 + regionWord.live, 1)
    this.#regions.set(region, slot)
    this.#store(headerWord.regionsUsed, Math.max(...this.#regions.values()) + 1)
    return rkey
  }

  /** From now on nobody who looks takes what he read of the region for true. */
  deregister(region: number): void {
    const slot = this.#regions.get(region)
    if (slot === undefined) return
    this.#store((tableAt.regions + slot * regionBytes) / 4 + regionWord.live, 0)
    this.#regions.delete(region)
  }

  /** Processes that write into our memory at this moment, under one session or under any. */
  writers(session?: string): number[] {
    const slots = session === undefined ? [...this.#sessions.values()] : [this.#sessions.get(session)]
    const busy: number[] = []
    for (const slot of slots) {
      if (slot === undefined) continue
      const at = (tableAt.sessions + slot * sessionBytes) / 4
      const writer = this.#load(at + sessionWord.writer)
      const writing = this.#load(at + sessionWord.begun) !== this.#load(at + sessionWord.ended)
      // One that died in the midst of it never says that it has ended.
      if (writing && startTicksOf(writer) !== undefined) busy.push(writer)
    }
    return busy
  }

  /** Ends all sessions and regions at once. */
  close(): void {
    this.#store(headerWord.alive, 0)
  }

  /** The pages stay readable as zeros: whoever looks later finds no beacon. */
  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]()
  }

  // Atomic, so that the order in which others see our words is the order in which we wrote them.
  #store(word: number, value: number): void {
    Atomics.store(this.#block.u32, word, value)
  }

  #load(word: number): number {
    return Atomics.load(this.#block.u32, word)
  }
}

function freeSlot(taken: ReadonlyMap<unknown, number>, max: number, what: string): number {
  const used = new Set(taken.values())
  for (let slot = 0; slot < max; slot++) if (!used.has(slot)) return slot
  throw new KvError("KV_LIMIT", {
    what: `a cma endpoint has ${max} ${what} already`,
    next: `end some of them first, or open another endpoint`,
  })
}
