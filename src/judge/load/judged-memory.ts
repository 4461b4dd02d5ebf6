import { setImmediate } from "node:timers/promises"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { fingerprintBytes, hashText } from "../../verify/fingerprint.ts"
import type { KnownAgent } from "../pattern/cache-places.ts"
import type { MovedRun } from "../pattern/classify.ts"
import { differencesBetween } from "../pattern/differences.ts"
import { explain, type WrongRegion } from "../pattern/explain.ts"
import type { Pattern } from "../pattern/pattern.ts"
import type { WrongBytesHere } from "../wrong-block.ts"

/** Places in the regions of one agent, as columns. */
export interface Places {
  readonly region: Uint32Array
  readonly offset: Float64Array
  readonly length: Uint32Array
}

/** Which bytes of a source belong where in a target, as columns with an entry for each piece. */
export interface LoadPlan {
  readonly pieces: number
  readonly bytes: number
  readonly sourceRegion: Uint32Array
  readonly sourceOffset: Float64Array
  readonly targetRegion: Uint32Array
  readonly targetOffset: Float64Array
  readonly length: Uint32Array
}

/** What was to land in an agent's memory from one source. */
export interface Arrival {
  /** The source: whom the words name, and which filling it had. */
  readonly owner: number
  readonly epoch: number
  readonly plan: LoadPlan
}

/** What a look at the memory found. */
export interface Checked {
  readonly bytesChecked: number
  /** Over the bytes of all pieces, in their order. */
  readonly hash: string
  /** What is wrong, in words. */
  readonly wrong?: Wrong
}

export interface Wrong extends WrongBytesHere {
  readonly cause: string
  readonly text: string
}

/** Bytes around the first wrong one that are kept for a report: a block, or the start of a long one. */
const evidenceBytesMax = 2 ** 16

/** The regions of one agent, filled and looked at by the judge. It runs where the memory is. */
export class JudgedMemory {
  readonly #regions: readonly MemorySpan[]
  readonly #pattern: Pattern
  readonly #owner: number
  readonly #agents: readonly KnownAgent[]
  #scratch = new Uint8Array(0)

  /** @param agents all of them, by owner. */
  constructor(
    regions: readonly MemorySpan[],
    pattern: Pattern,
    owner: number,
    agents: readonly KnownAgent[],
  ) {
    this.#regions = regions
    this.#pattern = pattern
    this.#owner = owner
    this.#agents = agents
  }

  /** Fills all of it: with the words of a source, or with poison. A Ctrl-C is heard meanwhile, as in all that takes long. */
  async fillAll(epoch: number, poison: boolean): Promise<void> {
    for (const [region, span] of this.#regions.entries()) {
      for (const { at, view } of slices(span)) {
        this.#pattern.fill(view, { owner: this.#owner, region, epoch, poison }, at)
        await setImmediate()
      }
    }
  }

  fill({ region, offset, length }: Places, epoch: number, poison: boolean): void {
    for (let i = 0; i < length.length; i++) {
      const filling = { owner: this.#owner, region: region[i]!, epoch, poison }
      this.#pattern.fill(this.#regions[region[i]!]!.view(offset[i]!, length[i]!), filling, offset[i]!)
    }
  }

  /**
   * Looks at pieces that should have arrived: whole ones, at most `bytesMax` of them, from piece `from` on and round.
   * @param poisonEpoch of the poison that lay there, to tell what came from what was there before.
   */
  checkPieces(arrivals: readonly Arrival[], bytesMax: number, from: number): Checked {
    let bytesChecked = 0
    const regions = new Set<number>()
    const pieces = arrivals.reduce((sum, { plan }) => sum + plan.pieces, 0)
    for (let n = 0; n < pieces && bytesChecked < bytesMax; n++) {
      const { arrival, piece } = pieceAt(arrivals, (from + n) % pieces)
      const region = arrival.plan.targetRegion[piece]!
      bytesChecked += arrival.plan.length[piece]!
      if (!this.#isRight(arrival, piece)) regions.add(region)
    }
    const hash = this.#hash(arrivals)
    return regions.size === 0
      ? { bytesChecked, hash }
      : { bytesChecked, hash, wrong: this.#explained(arrivals, [...regions], false) }
  }

  /** Looks at every byte: what was to move, and that nothing else was touched since all was poisoned with epoch 0. */
  async checkAll(arrivals: readonly Arrival[]): Promise<Checked> {
    let wrong: Wrong | undefined
    for (const region of this.#regions.keys()) {
      wrong ??= this.#explained(arrivals, [region], true)
      await setImmediate()
    }
    const bytesChecked = this.#regions.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const hash = this.#hash(arrivals)
    return wrong === undefined ? { bytesChecked, hash } : { bytesChecked, hash, wrong }
  }

  /** Looks at a source: still what it was filled with, or not. */
  async checkSource(epoch: number): Promise<Checked> {
    for (const [region, span] of this.#regions.entries()) {
      for (const { at, view } of slices(span)) {
        await setImmediate()
        const expected = this.#expected(view.byteLength)
        this.#pattern.fill(expected, { owner: this.#owner, region, epoch, poison: false }, at)
        const differences = differencesBetween(expected, view)
        const first = differences?.ranges[0]?.start
        if (differences === undefined || first === undefined) continue
        const text = `${differences.wrongBytes} bytes of the source were changed, the first at ${at + first} of layer ${region}`
        const evidence = { expected: expected.slice(first, first + 64), found: view.slice(first, first + 64) }
        const wrong = {
          cause: "source-changed",
          text,
          layer: region,
          block: 0,
          offset: at + first,
          ...evidence,
        }
        return { bytesChecked: 0, hash: "", wrong }
      }
    }
    return { bytesChecked: this.#regions.reduce((sum, { byteLength }) => sum + byteLength, 0), hash: "" }
  }

  #isRight({ owner, epoch, plan }: Arrival, i: number): boolean {
    const length = plan.length[i]!
    const found = this.#regions[plan.targetRegion[i]!]!.view(plan.targetOffset[i]!, length)
    const expected = this.#expected(length)
    const filling = { owner, region: plan.sourceRegion[i]!, epoch, poison: false }
    this.#pattern.fill(expected, filling, plan.sourceOffset[i]!)
    return Buffer.compare(expected, found) === 0
  }

  /** Compares whole regions, and says what is wrong with them. */
  #explained(arrivals: readonly Arrival[], regions: readonly number[], rest: boolean): Wrong | undefined
  #explained(arrivals: readonly Arrival[], regions: readonly number[], rest: false): Wrong
  #explained(arrivals: readonly Arrival[], regions: readonly number[], rest: boolean): Wrong | undefined {
    const runs = this.#regions.map((_, region) => runsInto(arrivals, region))
    const found: WrongRegion[] = []
    for (const region of regions) {
      const span = this.#regions[region]!
      const view = span.view(0, span.byteLength)
      // What no piece covers is not looked at between two rounds: it is at the end.
      const expected = rest ? new Uint8Array(span.byteLength) : Uint8Array.from(view)
      if (rest) this.#pattern.fill(expected, { owner: this.#owner, region, epoch: 0, poison: true }, 0)
      for (const { targetOffset, length, owner, region: sourceRegion, sourceOffset, epoch } of runs[
        region
      ]!) {
        const filling = { owner, region: sourceRegion, epoch, poison: false }
        this.#pattern.fill(expected.subarray(targetOffset, targetOffset + length), filling, sourceOffset)
      }
      const differences = differencesBetween(expected, view)
      if (differences === undefined) continue
      found.push({ owner: this.#owner, region, expected, found: view, runs: runs[region]!, differences })
      // One region tells what is wrong; a second one needs as much memory again.
      break
    }
    const [first] = found
    if (first === undefined) return undefined
    const {
      cause,
      text,
      first: place,
    } = explain(this.#pattern, this.#agents, found, new Map([[this.#owner, runs]]))
    const start = place.offset
    const end = Math.min(first.expected.byteLength, start + evidenceBytesMax)
    return {
      cause,
      text,
      layer: place.layer,
      block: place.block,
      offset: start,
      expected: first.expected.slice(start, end),
      found: first.found.slice(start, end),
    }
  }

  #hash(arrivals: readonly Arrival[]): string {
    const pieces = arrivals.reduce((sum, { plan }) => sum + plan.pieces, 0)
    const hashes = new BigUint64Array(pieces)
    let at = 0
    for (const { plan } of arrivals) {
      for (let i = 0; i < plan.pieces; i++, at++) {
        const bytes = this.#regions[plan.targetRegion[i]!]!.view(plan.targetOffset[i]!, plan.length[i]!)
        hashes[at] = fingerprintBytes(bytes)
      }
    }
    return hashText(fingerprintBytes(new Uint8Array(hashes.buffer)))
  }

  #expected(length: number): Uint8Array {
    if (this.#scratch.byteLength < length) this.#scratch = new Uint8Array(length)
    return this.#scratch.subarray(0, length)
  }
}

/** Longest part that is looked at at once. */
const sliceBytes = 2 ** 24

function* slices(span: MemorySpan): Generator<{ readonly at: number; readonly view: Uint8Array }> {
  for (let at = 0; at < span.byteLength; at += sliceBytes)
    yield { at, view: span.view(at, Math.min(sliceBytes, span.byteLength - at)) }
}

function pieceAt(
  arrivals: readonly Arrival[],
  index: number,
): { readonly arrival: Arrival; readonly piece: number } {
  let piece = index
  for (const arrival of arrivals) {
    if (piece < arrival.plan.pieces) return { arrival, piece }
    piece -= arrival.plan.pieces
  }
  throw new RangeError(`there is no piece ${index}`)
}

function runsInto(arrivals: readonly Arrival[], region: number): (MovedRun & { readonly epoch: number })[] {
  return arrivals.flatMap(({ owner, epoch, plan }) =>
    [...plan.targetRegion.keys()]
      .filter((i) => plan.targetRegion[i] === region)
      .map((i) => ({
        targetOffset: plan.targetOffset[i]!,
        length: plan.length[i]!,
        owner,
        region: plan.sourceRegion[i]!,
        sourceOffset: plan.sourceOffset[i]!,
        epoch,
      })),
  )
}
