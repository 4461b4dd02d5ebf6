import { blockBytes, cachePlace, type KnownAgent } from "./cache-places.ts"
import type { Cause } from "./causes.ts"
import { type Pattern, type Place, wordBytes } from "./pattern.ts"

/** A run of bytes that was to be moved: where it was to land, and where it was to come from. */
export interface MovedRun {
  /** Bytes from the start of the target's region. */
  readonly targetOffset: number
  readonly length: number
  readonly owner: number
  readonly region: number
  readonly sourceOffset: number
}

/** A region that is looked at: what was expected of it and what is in it. */
export interface RegionView {
  readonly owner: number
  readonly region: number
  readonly expected: Uint8Array
  readonly found: Uint8Array
  /** What was to be moved here since it was poisoned; the latest last. */
  readonly runs: readonly MovedRun[]
}

/** Wrong bytes that all have one cause. */
export interface Segment {
  readonly start: number
  readonly end: number
  readonly cause: Cause
  /** The place that the first byte belongs to, where that is known. */
  readonly belongs?: Place
  readonly run?: MovedRun
  /** Bytes by which it lies beside its place. */
  readonly shift?: number
}

/** Cuts a wrong range into segments with one cause each. */
export function classifyRange(
  pattern: Pattern,
  agents: readonly KnownAgent[],
  view: RegionView,
  range: { readonly start: number; readonly end: number },
): Segment[] {
  const segments: Segment[] = []
  for (let at = range.start; at < range.end; ) {
    const run = view.runs.findLast(
      ({ targetOffset, length }) => at >= targetOffset && at < targetOffset + length,
    )
    const limit = Math.min(
      range.end,
      run === undefined ? nextRun(view.runs, at) : run.targetOffset + run.length,
    )
    const segment = segmentAt(pattern, agents, view, run, at, limit)
    segments.push(segment)
    at = segment.end
  }
  return segments
}

function nextRun(runs: readonly MovedRun[], at: number): number {
  return runs.reduce(
    (next, { targetOffset }) => (targetOffset > at ? Math.min(next, targetOffset) : next),
    Infinity,
  )
}

function segmentAt(
  pattern: Pattern,
  agents: readonly KnownAgent[],
  view: RegionView,
  run: MovedRun | undefined,
  at: number,
  limit: number,
): Segment {
  const zeros = zerosFrom(view.found, at, limit)
  if (zeros > 0) return { start: at, end: at + zeros, cause: "zeros", ...(run === undefined ? {} : { run }) }
  const read = placeAt(pattern, agents, view.found, at, limit)
  if (read === undefined) return unknownSegment(pattern, agents, view, run, at, limit)
  const { place, length } = read
  const end = at + length
  const known = { start: at, end, belongs: place, ...(run === undefined ? {} : { run }) }
  const right = run !== undefined && place.offset - run.sourceOffset === at - run.targetOffset
  if (!right && view.runs.some((one) => landedAtBase(view, one, place, at)))
    return { ...known, cause: "base-address-written" }
  if (run === undefined) return { ...known, cause: "outside" }
  return { ...known, ...relation(agents, view, run, at, place, pattern) }
}

/** Whether these bytes are a run's, and lie as far from the region's start as they should from the run's own. */
function landedAtBase(
  view: RegionView,
  run: MovedRun,
  { owner, region, offset, poison }: Place,
  at: number,
): boolean {
  const into = offset - run.sourceOffset
  const ofRun = !poison && owner === run.owner && region === run.region && into >= 0 && into < run.length
  return ofRun && (at === into || at === offset - firstMerged(view, run).sourceOffset)
}

const merged = new WeakMap<RegionView, ReadonlyMap<MovedRun, MovedRun>>()

/** Engines make one piece of those that lie side by side at both ends. This is the first of a run's neighbours, or itself. */
function firstMerged(view: RegionView, run: MovedRun): MovedRun {
  let firsts = merged.get(view)
  if (firsts === undefined) {
    firsts = firstsOf(view.runs)
    merged.set(view, firsts)
  }
  return firsts.get(run) ?? run
}

function firstsOf(runs: readonly MovedRun[]): ReadonlyMap<MovedRun, MovedRun> {
  const firsts = new Map<MovedRun, MovedRun>()
  let before: MovedRun | undefined
  for (const run of runs.toSorted((one, other) => one.targetOffset - other.targetOffset)) {
    const adjoins =
      before !== undefined &&
      before.owner === run.owner &&
      before.region === run.region &&
      before.targetOffset + before.length === run.targetOffset &&
      before.sourceOffset + before.length === run.sourceOffset
    firsts.set(run, adjoins ? firsts.get(before!)! : run)
    before = run
  }
  return firsts
}

/** At least a word of zeros, or zeros to the end: one zero byte says nothing. */
function zerosFrom(found: Uint8Array, at: number, limit: number): number {
  let end = at
  while (end < limit && found[end] === 0) end += 1
  return end - at >= Math.min(wordBytes, limit - at) && end - at > 1 ? end - at : 0
}

/** The place that the byte at `at` belongs to, and for how many bytes the found bytes go on as that place does. */
function placeAt(
  pattern: Pattern,
  agents: readonly KnownAgent[],
  found: Uint8Array,
  at: number,
  limit: number,
): { readonly place: Place; readonly length: number } | undefined {
  let best: { readonly place: Place; readonly length: number } | undefined
  // A word around the byte starts at one of the 8 bytes up to it, or soon after it when its own word was cut.
  for (let probe = Math.max(0, at - wordBytes + 1); probe < at + wordBytes; probe++) {
    const word = pattern.placeOf(found, probe)
    if (word === undefined || agents[word.owner] === undefined) continue
    const offset = word.offset + (at - probe)
    if (offset < 0) continue
    const place = { ...word, offset }
    const length = agreement(pattern, place, found, at, limit)
    if (length >= Math.min(wordBytes / 2, limit - at) && length > (best?.length ?? 0))
      best = { place, length }
  }
  return best
}

/** How many bytes from `at` are those of the region from `place` on. */
function agreement(pattern: Pattern, place: Place, found: Uint8Array, at: number, limit: number): number {
  let length = 0
  for (let step = 64; at + length < limit; step = Math.min(step * 4, 2 ** 16)) {
    const count = Math.min(step, limit - at - length)
    const should = pattern.bytesAt(place, place.offset + length, count)
    for (let i = 0; i < count; i++) if (should[i] !== found[at + length + i]) return length + i
    length += count
  }
  return length
}

function relation(
  agents: readonly KnownAgent[],
  view: RegionView,
  run: MovedRun,
  at: number,
  found: Place,
  pattern: Pattern,
): { readonly cause: Cause; readonly shift?: number } {
  if (found.poison && found.owner === view.owner && found.region === view.region && found.offset === at)
    return { cause: "lost-part" }
  const wanted = run.sourceOffset + (at - run.targetOffset)
  if (found.owner !== run.owner) return { cause: "other-agent" }
  const cache = agents[run.owner]!.cache
  if (found.region === run.region && found.offset === wanted) {
    const should = expectedPlace(pattern, view, at)
    // A transfer that failed leaves what is there then: poison is only expected where it had not come to.
    if (should?.poison === true) return { cause: "after-end" }
    return { cause: isOlder(found.epoch, should?.epoch) ? "stale" : "newer" }
  }
  const block = blockBytes(cache)
  const intoMerged = at - firstMerged(view, run).targetOffset
  const fromBase = found.offset === at - run.targetOffset || found.offset === intoMerged
  if (fromBase || (found.offset < block && found.offset === wanted % block)) return { cause: "base-address" }
  const [is, should] = [cachePlace(cache, found.offset), cachePlace(cache, wanted)]
  if (found.region !== run.region)
    return { cause: is.inBlock === should.inBlock ? "other-layer" : "other-place" }
  if (is.inBlock === should.inBlock) return { cause: "other-block" }
  if (is.block === should.block && is.inPlane === should.inPlane) return { cause: "swapped-planes" }
  if (is.block === should.block && is.plane === should.plane && is.inHead === should.inHead)
    return { cause: "other-head" }
  const shift = found.offset - wanted
  if (Math.abs(shift) < block) return { cause: "shifted", shift }
  return { cause: "other-place", shift }
}

/** What the bytes that were expected say of themselves; a piece too short for a word has none that can be read. */
function expectedPlace(pattern: Pattern, { expected }: RegionView, at: number): Place | undefined {
  for (let probe = Math.max(0, at - wordBytes + 1); probe < at + wordBytes; probe++) {
    const place = pattern.placeOf(expected, probe)
    if (place !== undefined) return place
  }
  return undefined
}

/** Epochs count round: one is older when the way forward from it is the shorter one. */
function isOlder(epoch: number, than: number | undefined): boolean {
  return than === undefined || ((than - epoch) & 255) < 128
}

/** Bytes that lead to no place: too few of them, damaged, or not ours. */
function unknownSegment(
  pattern: Pattern,
  agents: readonly KnownAgent[],
  view: RegionView,
  run: MovedRun | undefined,
  at: number,
  limit: number,
): Segment {
  const guess = run === undefined ? undefined : shortGuess(pattern, view, run, at, limit)
  if (guess !== undefined) return guess
  let end = at + 1
  while (end < limit && end - at < 2 ** 16 && view.expected[end] !== view.found[end]) {
    if ((end - at) % wordBytes === 0 && placeAt(pattern, agents, view.found, end, limit) !== undefined) break
    end += 1
  }
  if (run === undefined) return { start: at, end, cause: "outside" }
  let flipped = 0
  for (let i = at; i < end; i++) flipped += bitsOf(view.expected[i]! ^ view.found[i]!)
  return { start: at, end, run, cause: flipped <= 2 ? "bit-flip" : "unknown" }
}

/** A piece too short to hold a word can still be held against what would be there in the likeliest cases. */
function shortGuess(
  pattern: Pattern,
  view: RegionView,
  run: MovedRun,
  at: number,
  limit: number,
): Segment | undefined {
  const length = limit - at
  if (length >= 2 * wordBytes) return undefined
  const into = at - run.targetOffset
  const own = { owner: view.owner, region: view.region, epoch: 0, poison: true, offset: at }
  const base = { owner: run.owner, region: run.region, epoch: 0, poison: false, offset: into }
  for (const [cause, place] of [
    ["lost-part", own],
    ["base-address", base],
  ] as const) {
    if (agreement(pattern, place, view.found, at, limit) === length)
      return { start: at, end: limit, cause, belongs: place, run }
  }
  return undefined
}

function bitsOf(byte: number): number {
  let bits = 0
  for (let rest = byte; rest !== 0; rest &= rest - 1) bits += 1
  return bits
}
