import { Random } from "../random.ts"

/** Where a word belongs, and since when. */
export interface Place {
  /** The agent whose memory it was made for, as the judge counts them. */
  readonly owner: number
  /** The layer. */
  readonly region: number
  /** Bytes from the region's start; a multiple of 8. */
  readonly offset: number
  /** Which filling of this place: it moves on when a block is given to another sequence. */
  readonly epoch: number
  /** Poison: what a target holds before anything is written there. No engine is ever asked to move it. */
  readonly poison: boolean
}

/** What a run of a region is filled with. */
export type Filling = Omit<Place, "offset">

export const wordBytes = 8
/** Bits of a word: an owner, a region, a word's index in its region, an epoch, and a tag that only this seed has. */
const bits = { owner: 5, index: 27, region: 8, epoch: 8, poison: 1, tag: 15 } as const
export const ownersMax = 2 ** bits.owner
export const regionsMax = 2 ** bits.region
export const epochs = 2 ** bits.epoch
/** The longest region whose words can all be told apart: 1 GiB. */
export const regionBytesMax = 2 ** bits.index * wordBytes

/**
 * Words of 8 bytes that say where and when they belong.
 *
 * A place is 64 bits, and a word is those bits after three rounds of a Feistel network that the seed keys: so every byte
 * of a word depends on the whole place, two places never have the same word, and a word found anywhere leads back to
 * its place. Random bytes look like one of ours once in 32,768 words, neighbours that agree never.
 */
export class Pattern {
  readonly seed: number
  readonly #tag: number
  readonly #keys: readonly [number, number, number]

  constructor(seed: number) {
    this.seed = seed >>> 0
    const random = new Random(this.seed).fork("pattern")
    this.#tag = random.below(2 ** bits.tag)
    this.#keys = [random.uint32(), random.uint32(), random.uint32()]
  }

  /** Writes what belongs to the bytes of a region that start at `offset`; neither end needs to be that of a word. */
  fill(target: Uint8Array, filling: Filling, offset = 0): void {
    const head = Math.min(target.byteLength, (wordBytes - (offset % wordBytes)) % wordBytes)
    if (head > 0) target.set(this.#bytes(filling, offset, head))
    const aligned = target.subarray(head, head + ((target.byteLength - head) & ~(wordBytes - 1)))
    if (aligned.byteOffset % 4 === 0) this.#fillWords(words32(aligned), filling, offset + head)
    else this.#fillThroughScratch(aligned, filling, offset + head)
    const done = head + aligned.byteLength
    if (done < target.byteLength)
      target.set(this.#bytes(filling, offset + done, target.byteLength - done), done)
  }

  /** What belongs to the bytes `[offset, offset + length)` of a region, as a copy. */
  bytesAt(filling: Filling, offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    this.fill(bytes, filling, offset)
    return bytes
  }

  /** The place that 8 bytes belong to; undefined when they are not a word of this seed. */
  placeOf(bytes: Uint8Array, at: number): Place | undefined {
    if (at < 0 || at + wordBytes > bytes.byteLength) return undefined
    let low = uint32At(bytes, at)
    let high = uint32At(bytes, at + 4)
    low ^= mix(high ^ this.#keys[2])
    high ^= mix(low ^ this.#keys[1])
    low ^= mix(high ^ this.#keys[0])
    if (high >>> (32 - bits.tag) !== this.#tag) return undefined
    return {
      owner: low & (ownersMax - 1),
      region: high & (regionsMax - 1),
      offset: (low >>> bits.owner) * wordBytes,
      epoch: (high >>> bits.region) & (epochs - 1),
      poison: ((high >>> (bits.region + bits.epoch)) & 1) === 1,
    }
  }

  #fillWords(words: Uint32Array, { owner, region, epoch, poison }: Filling, offset: number): void {
    const [first, second, third] = this.#keys
    const place =
      (this.#tag << (32 - bits.tag)) |
      ((poison ? 1 : 0) << (bits.region + bits.epoch)) |
      ((epoch & (epochs - 1)) << bits.region) |
      region
    const rest = mix(place ^ first)
    let index = offset / wordBytes
    for (let i = 0; i < words.length; i += 2, index++) {
      const low = ((index << bits.owner) | owner) ^ rest
      // The rounds are written out: a call in this loop halves its speed.
      let mixed = low ^ second
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
      const high = place ^ mixed ^ (mixed >>> 15)
      mixed = high ^ third
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
      words[i] = low ^ mixed ^ (mixed >>> 15)
      words[i + 1] = high
    }
  }

  #fillThroughScratch(target: Uint8Array, filling: Filling, offset: number): void {
    const scratch = new Uint8Array(Math.min(target.byteLength, 2 ** 16))
    for (let at = 0; at < target.byteLength; at += scratch.byteLength) {
      const part = scratch.subarray(0, Math.min(scratch.byteLength, target.byteLength - at))
      this.#fillWords(words32(part), filling, offset + at)
      target.set(part, at)
    }
  }

  /** Fewer bytes than a word, or some around its end: cut out of whole words. */
  #bytes(filling: Filling, offset: number, length: number): Uint8Array {
    const first = Math.floor(offset / wordBytes) * wordBytes
    const whole = new Uint8Array(Math.ceil((offset + length - first) / wordBytes) * wordBytes)
    this.#fillWords(words32(whole), filling, first)
    return whole.subarray(offset - first, offset - first + length)
  }
}

function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return mixed ^ (mixed >>> 15)
}

const words32 = (bytes: Uint8Array): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)

const uint32At = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
