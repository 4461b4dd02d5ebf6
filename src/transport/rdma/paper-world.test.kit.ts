import type { Rights } from "../transport.ts"

/** What the NICs on paper know in common, as it crosses to their threads. */
export interface PaperWorld {
  readonly whole: SharedArrayBuffer
  readonly real: SharedArrayBuffer
}

/** What the NIC on paper does wrong. */
export type PaperMistake =
  /** Every request goes to the first byte of its registration. */
  | "base address"
  /** The remote key is that of the peer's rail with the number of the local rail. */
  | "key of the local rail"
  /** A read is reported before its bytes are there. */
  | "early read"
  /** A notice is answered before the writes in front of it are there. */
  | "early answer"
  /** Flushed requests are carried out all the same, when the end of their lane has been reported. */
  | "lands after its end"

/** How the NIC on paper is made. */
export interface PaperTraits {
  readonly ordered: boolean
  readonly writesAreVisible: boolean
  readonly mistake?: PaperMistake
  /** Longest registration: longer regions have parts. */
  readonly registrationBytes?: number
}

/** What a rail's thread opens its port from. */
export interface PaperRailPort {
  readonly paper: true
  readonly world: PaperWorld
  readonly traits: PaperTraits
  readonly rail: number
}

/** Fields of the tables. `busy`: threads that work with it now; nothing is closed before they are done. */
export const fieldOf = {
  registration: { live: 0, busy: 1, rail: 2, rights: 3, endpoint: 4, index: 5 },
  end: { live: 0, busy: 1, rail: 2, rights: 3, peer: 4 },
  rail: { unitsLeft: 0, hang: 1 },
} as const

/** How the next look of a rail behaves: a library that spins until somebody frees it, or for ever. */
export const hangs = { no: 0, untilFreed: 1, forEver: 2 } as const

type Table = keyof typeof fieldOf

const rows = { registration: 8192, end: 8192, rail: 1024 } as const
const width = 6
const firstRow = { registration: 0, end: rows.registration, rail: rows.registration + rows.end } as const
const realWidth = 3
/** Keys are this far apart: one that was changed a little is nobody's. The first is 0, which is a key. */
const keyStep = 4096

/** An empty world. */
export function paperWorld(): PaperWorld {
  const count = rows.registration + rows.end + rows.rail
  return {
    whole: new SharedArrayBuffer(count * width * 4),
    real: new SharedArrayBuffer(rows.registration * realWidth * 8),
  }
}

/** One registration, as its owner made it. */
export interface PaperRegistration {
  readonly address: number
  readonly byteLength: number
  readonly access: Rights
  readonly iova: number
  readonly rail: number
  readonly endpoint: number
  /** The rail's number in its endpoint. */
  readonly index: number
}

/** The tables of a world, from any thread. Rows are made by the main thread alone. */
export class PaperTables {
  readonly #whole: Int32Array
  readonly #real: Float64Array
  #registrations = 0
  #ends = 0

  constructor({ whole, real }: PaperWorld) {
    this.#whole = new Int32Array(whole)
    this.#real = new Float64Array(real)
  }

  get(table: Table, row: number, field: number): number {
    return Atomics.load(this.#whole, (firstRow[table] + row) * width + field)
  }

  set(table: Table, row: number, field: number, value: number): void {
    Atomics.store(this.#whole, (firstRow[table] + row) * width + field, value)
  }

  /** Adds to a field, and returns what it was. */
  add(table: Table, row: number, field: number, value: number): number {
    return Atomics.add(this.#whole, (firstRow[table] + row) * width + field, value)
  }

  register({ address, byteLength, access, iova, rail, endpoint, index }: PaperRegistration): number {
    const row = this.#registrations++
    this.#real.set([address, byteLength, iova], row * realWidth)
    const { registration } = fieldOf
    this.set("registration", row, registration.rail, rail)
    this.set("registration", row, registration.rights, bitsOf(access))
    this.set("registration", row, registration.endpoint, endpoint)
    this.set("registration", row, registration.index, index)
    this.set("registration", row, registration.live, 1)
    return row * keyStep
  }

  openEnd(rail: number, rights: Rights): number {
    const row = this.#ends++
    this.set("end", row, fieldOf.end.rail, rail)
    this.set("end", row, fieldOf.end.rights, bitsOf(rights))
    this.set("end", row, fieldOf.end.peer, -1)
    this.set("end", row, fieldOf.end.live, 1)
    return row
  }

  /** Resolves when nobody uses it any more. @param name the key of a registration, or the row of an end. */
  async close(table: "registration" | "end", name: number): Promise<void> {
    const row = table === "end" ? name : name / keyStep
    this.set(table, row, fieldOf[table].live, 0)
    while (this.get(table, row, fieldOf[table].busy) > 0) await new Promise(setImmediate)
  }

  /** Begins to use a row; false when it is closed. */
  hold(table: "registration" | "end", row: number): boolean {
    this.add(table, row, fieldOf[table].busy, 1)
    if (this.get(table, row, fieldOf[table].live) === 1) return true
    this.release(table, row)
    return false
  }

  release(table: "registration" | "end", row: number): void {
    this.add(table, row, fieldOf[table].busy, -1)
  }

  /** The row of a key; undefined for one that no registration ever had. */
  rowOf(key: number): number | undefined {
    const row = key / keyStep
    return Number.isInteger(row) && row >= 0 && row < rows.registration ? row : undefined
  }

  /** Where the registration starts: in memory, and as peers call it; and its length. */
  placeOf(row: number): { readonly address: number; readonly byteLength: number; readonly iova: number } {
    const at = row * realWidth
    return { address: this.#real[at]!, byteLength: this.#real[at + 1]!, iova: this.#real[at + 2]! }
  }

  /** The same bytes of the same owner, registered with its rail of another number; 0, a key of somebody else, when it has none. */
  siblingKey(row: number, index: number): number {
    const { registration } = fieldOf
    const { iova, byteLength } = this.placeOf(row)
    for (let other = 0; other < rows.registration; other++) {
      const place = this.placeOf(other)
      if (place.iova !== iova || place.byteLength !== byteLength) continue
      if (
        this.get("registration", other, registration.endpoint) !==
        this.get("registration", row, registration.endpoint)
      )
        continue
      if (this.get("registration", other, registration.index) === index) return other * keyStep
    }
    return 0
  }
}

export const bitsOf = ({ read, write }: Rights): number => (read ? 1 : 0) | (write ? 2 : 0)
