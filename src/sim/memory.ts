import type { HostMapping, HostMemory, SharedSpan } from "../memory/host-memory.ts"
import type { SimProcess } from "./process.ts"

/** A range of a mapping that nothing but its owner may write. */
interface Guard {
  readonly from: number
  readonly end: number
  readonly why: string
}

/** A mapping is backed up to here: pages that nobody ever touches cost nothing, as on a real machine. */
const backedBytesMax = 2 ** 16

/** Memory of a simulated process: real bytes, no address. What a fabric writes is held against its guards. */
export class SimMapping implements HostMapping {
  readonly fd = -1
  readonly byteLength: number
  readonly name: string
  readonly process: SimProcess
  readonly pages = { kind: "small", hugeBytes: 0, why: "simulated" } as const
  readonly reserved = false
  readonly placement = "simulated"
  closed = false
  readonly #bytes: Uint8Array<ArrayBuffer>
  readonly #guards = new Set<Guard>()

  constructor(process: SimProcess, byteLength: number, name: string) {
    this.process = process
    this.byteLength = byteLength
    this.name = name
    this.#bytes = new Uint8Array(Math.min(byteLength, backedBytesMax))
  }

  addressOf(): number {
    throw new Error("simulated memory has no address")
  }

  populate(): void {}

  share(): SharedSpan {
    throw new Error("simulated memory has no address")
  }

  view(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.#bytes.byteLength)) {
      throw new RangeError(`${length} bytes at ${offset} of ${this.byteLength}`)
    }
    return this.#bytes.subarray(offset, offset + length)
  }

  /** Forbids a range to every fabric, until what is returned is called. */
  guard(from: number, length: number, why: string): () => void {
    const guard = { from, end: from + length, why }
    this.#guards.add(guard)
    return () => void this.#guards.delete(guard)
  }

  /** Writes as a fabric does: into guarded memory it is a broken promise, and is done all the same. */
  land(offset: number, bytes: Uint8Array, who: string): void {
    for (const { from, end, why } of this.#guards) {
      if (offset < end && from < offset + bytes.byteLength) {
        const range = `bytes ${offset} to ${offset + bytes.byteLength - 1} of ${this.name}`
        this.process.world.broken("P2", this.process.name, `${who} wrote ${range}: ${why}`)
        break
      }
    }
    this.#bytes.set(bytes, offset)
  }

  [Symbol.dispose](): void {
    this.closed = true
  }
}

/** Makes the mappings of one process. */
export class SimMemory implements HostMemory {
  readonly mappings: SimMapping[] = []
  readonly #process: SimProcess

  constructor(process: SimProcess) {
    this.#process = process
  }

  map(byteLength: number, name: string): SimMapping {
    const mapping = new SimMapping(this.#process, byteLength, `${this.#process.name}/${name}`)
    this.mappings.push(mapping)
    return mapping
  }
}
