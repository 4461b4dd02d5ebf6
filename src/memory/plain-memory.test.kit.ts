import type { HostMapping, HostMemory, PageGrant, SharedSpan } from "./host-memory.ts"

/** A mapping in ordinary JavaScript memory: for tests that make hundreds of pools and hand out no address. */
export class PlainMapping implements HostMapping {
  readonly fd = -1
  readonly pages: PageGrant = { kind: "small", hugeBytes: 0, why: "ordinary JavaScript memory" }
  readonly reserved = false
  readonly placement = "ordinary JavaScript memory"
  readonly byteLength: number
  readonly name: string
  closed = 0
  readonly #bytes: Uint8Array<ArrayBuffer>

  constructor(byteLength: number, name: string) {
    this.byteLength = byteLength
    this.name = name
    this.#bytes = new Uint8Array(byteLength)
  }

  addressOf(): number {
    throw new Error("plain memory has no address")
  }

  view(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (offset < 0 || length < 0 || offset + length > this.byteLength) {
      throw new RangeError(`${length} bytes at ${offset} of ${this.byteLength}`)
    }
    return this.#bytes.subarray(offset, offset + length)
  }

  share(): SharedSpan {
    throw new Error("plain memory has no address")
  }

  populate(): void {}

  [Symbol.dispose](): void {
    this.closed += 1
  }
}

/** Makes plain mappings and remembers them; refuses the one at `failsAt`, counted from 0. */
export class PlainMemory implements HostMemory {
  readonly mappings: PlainMapping[] = []
  readonly #failsAt: number

  constructor(failsAt = Number.POSITIVE_INFINITY) {
    this.#failsAt = failsAt
  }

  map(byteLength: number, name: string): PlainMapping {
    if (this.mappings.length === this.#failsAt) throw new Error("refused on purpose")
    const mapping = new PlainMapping(byteLength, name)
    this.mappings.push(mapping)
    return mapping
  }
}
