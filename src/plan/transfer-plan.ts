/**
 * Which bytes go where: N pieces as columns, ready to cross a thread or an FFI call untouched.
 *
 * Piece i copies `length[i]` bytes from `sourceOffset[i]` of region `sourceRegion[i]`
 * to `targetOffset[i]` of region `targetRegion[i]`, over rail `rail[i]`. Offsets in bytes from the region's start.
 */
export interface TransferPlan {
  readonly pieces: number
  /** Sum of all lengths. */
  readonly bytes: number
  readonly sourceRegion: Uint32Array<ArrayBuffer>
  readonly sourceOffset: Float64Array<ArrayBuffer>
  readonly targetRegion: Uint32Array<ArrayBuffer>
  readonly targetOffset: Float64Array<ArrayBuffer>
  readonly length: Uint32Array<ArrayBuffer>
  readonly rail: Uint16Array<ArrayBuffer>
}

/** Longest piece: larger runs are cut, so that a length always fits 32 bits on every fabric. */
export const pieceBytesMax = 2 ** 30

/** Collects pieces; a piece that continues the one before it on both sides lengthens it. */
export class PlanBuilder {
  #count = 0
  #bytes = 0
  #room: number
  #sourceRegion: Uint32Array<ArrayBuffer>
  #sourceOffset: Float64Array<ArrayBuffer>
  #targetRegion: Uint32Array<ArrayBuffer>
  #targetOffset: Float64Array<ArrayBuffer>
  #length: Uint32Array<ArrayBuffer>
  #rail: Uint16Array<ArrayBuffer>

  constructor(expectedPieces: number) {
    this.#room = Math.max(16, expectedPieces)
    this.#sourceRegion = new Uint32Array(this.#room)
    this.#sourceOffset = new Float64Array(this.#room)
    this.#targetRegion = new Uint32Array(this.#room)
    this.#targetOffset = new Float64Array(this.#room)
    this.#length = new Uint32Array(this.#room)
    this.#rail = new Uint16Array(this.#room)
  }

  /** Adds one run of bytes, cut to `pieceBytesMax`. */
  add(
    sourceRegion: number,
    sourceOffset: number,
    targetRegion: number,
    targetOffset: number,
    length: number,
    rail: number,
  ): void {
    this.#bytes += length
    const last = this.#count - 1
    if (
      last >= 0 &&
      this.#sourceRegion[last] === sourceRegion &&
      this.#targetRegion[last] === targetRegion &&
      this.#rail[last] === rail &&
      this.#sourceOffset[last]! + this.#length[last]! === sourceOffset &&
      this.#targetOffset[last]! + this.#length[last]! === targetOffset &&
      this.#length[last]! + length <= pieceBytesMax
    ) {
      this.#length[last]! += length
      return
    }
    for (let done = 0; done < length; done += pieceBytesMax) {
      if (this.#count === this.#room) this.#grow()
      const at = this.#count++
      this.#sourceRegion[at] = sourceRegion
      this.#sourceOffset[at] = sourceOffset + done
      this.#targetRegion[at] = targetRegion
      this.#targetOffset[at] = targetOffset + done
      this.#length[at] = Math.min(length - done, pieceBytesMax)
      this.#rail[at] = rail
    }
  }

  /** The plan so far. Its columns own exactly their bytes: one that crosses to a thread is copied whole. */
  finish(): TransferPlan {
    const count = this.#count
    return {
      pieces: count,
      bytes: this.#bytes,
      sourceRegion: this.#sourceRegion.slice(0, count),
      sourceOffset: this.#sourceOffset.slice(0, count),
      targetRegion: this.#targetRegion.slice(0, count),
      targetOffset: this.#targetOffset.slice(0, count),
      length: this.#length.slice(0, count),
      rail: this.#rail.slice(0, count),
    }
  }

  #grow(): void {
    this.#room *= 2
    const wider = <T extends { set(from: T): void }>(next: T, old: T): T => {
      next.set(old)
      return next
    }
    this.#sourceRegion = wider(new Uint32Array(this.#room), this.#sourceRegion)
    this.#sourceOffset = wider(new Float64Array(this.#room), this.#sourceOffset)
    this.#targetRegion = wider(new Uint32Array(this.#room), this.#targetRegion)
    this.#targetOffset = wider(new Float64Array(this.#room), this.#targetOffset)
    this.#length = wider(new Uint32Array(this.#room), this.#length)
    this.#rail = wider(new Uint16Array(this.#room), this.#rail)
  }
}
