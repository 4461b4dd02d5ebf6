import { sizeText } from "../../terminal/units.ts"
import type { BlockMap, Finding, WrongPlace } from "../verify-document.ts"
import { blockMap } from "./block-map.ts"
import { cachePlace, type KnownAgent, placeText } from "./cache-places.ts"
import { type Cause, causes } from "./causes.ts"
import { classifyRange, type MovedRun, type RegionView, type Segment } from "./classify.ts"
import type { Differences } from "./differences.ts"
import type { Pattern, Place } from "./pattern.ts"

/** A region that is not as it should be. */
export interface WrongRegion extends RegionView {
  readonly differences: Differences
}

/** What is known of wrong bytes: the cause of most of them, the first of them in words, and maps of the blocks. */
export type Explanation = Required<Pick<Finding, "text" | "wrongBytes" | "maps">> & {
  readonly cause: Cause
  readonly first: WrongPlace
}

const mapsMax = 6
/** Segments are looked up one by one: that many say enough. */
const segmentsMax = 2000

/**
 * Says what wrong bytes are, and so what went wrong.
 * @param regions those with differences, at least one.
 * @param runs all that was to be moved into any region, since it was poisoned.
 * @param targets agents that have ever been a target: what comes to one of them unasked belongs to a transfer that has ended.
 */
export function explain(
  pattern: Pattern,
  agents: readonly KnownAgent[],
  regions: readonly WrongRegion[],
  runs: ReadonlyMap<number, readonly (readonly MovedRun[])[]>,
  targets: ReadonlySet<number> = new Set(),
): Explanation {
  const found: { readonly region: WrongRegion; readonly segment: Segment }[] = []
  const maps: BlockMap[] = []
  for (const region of regions) {
    const segments = region.differences.ranges
      .slice(0, Math.max(1, segmentsMax - found.length))
      .flatMap((range) => classifyRange(pattern, agents, region, range))
    const received = (runs.get(region.owner) ?? []).some((list) => list.length > 0)
    const unasked = received ? "outside" : targets.has(region.owner) ? "after-end" : "source-changed"
    const named = segments.map((segment) => ({ ...segment, cause: finalCause(segment, segments, unasked) }))
    found.push(...named.map((segment) => ({ region, segment })))
    if (maps.length < mapsMax) maps.push(blockMap(agents[region.owner]!, region, named))
  }
  const pieces = [...runs.values()].flat().reduce((count, list) => count + list.length, 0)
  const counts = bytesByCause(found.map(({ segment }) => segment))
  const cause = mainCause(counts, found, pieces)
  const { region, segment } = found.find((one) => one.segment.cause === cause) ?? found[0]!
  const wrongBytes = regions.reduce((sum, { differences }) => sum + differences.wrongBytes, 0)
  const first = wrongPlace(pattern, agents, region, segment)
  return { cause, first, wrongBytes, maps, text: sentence(cause, first, wrongBytes, counts, segment) }
}

/** What only shows beside the whole piece, or beside what the agent took part in. */
function finalCause(segment: Segment, all: readonly Segment[], unasked: Cause): Cause {
  const { cause, run } = segment
  if (cause === "outside") return unasked
  if (cause !== "lost-part" || run === undefined) return cause
  const start = all.find((one) => one.run === run && one.cause === "lost-part")?.start
  const end = all.findLast((one) => one.run === run && one.cause === "lost-part")?.end
  const fromStart = start === run.targetOffset
  const toEnd = end === run.targetOffset + run.length
  if (fromStart && toEnd) return "lost-piece"
  if (toEnd) return "lost-tail"
  return fromStart ? "lost-head" : "lost-part"
}

function bytesByCause(segments: readonly Segment[]): Map<Cause, number> {
  const counts = new Map<Cause, number>()
  for (const { cause, start, end } of segments) counts.set(cause, (counts.get(cause) ?? 0) + end - start)
  return counts
}

/** The cause of the most bytes; what tells nothing comes last, whatever its share. */
function mainCause(
  counts: ReadonlyMap<Cause, number>,
  found: readonly { readonly segment: Segment }[],
  pieces: number,
): Cause {
  const untouched = new Set(
    found.flatMap(({ segment }) => (segment.cause === "lost-piece" ? [segment.run] : [])),
  )
  if (pieces > 1 && untouched.size === pieces && counts.size === 1) return "nothing-moved"
  // What never came tells less than what came in its place, or went to another one.
  const rank = (cause: Cause, bytes: number): number =>
    cause === "unknown" ? bytes / 2 ** 60 : cause.startsWith("lost-") ? bytes / 2 ** 30 : bytes
  return [...counts].sort(([a, one], [b, other]) => rank(b, other) - rank(a, one))[0]![0]
}

function wrongPlace(
  pattern: Pattern,
  agents: readonly KnownAgent[],
  region: WrongRegion,
  { start, run, belongs, cause }: Segment,
): WrongPlace {
  const agent = agents[region.owner]!
  return {
    agent: agent.name,
    layer: region.region,
    block: cachePlace(agent.cache, start).block,
    offset: start,
    expected:
      run === undefined || cause === "after-end"
        ? ownText(pattern, agents, region, start)
        : runText(agents, run, start),
    found: foundText(agents, region, start, belongs),
  }
}

function runText(agents: readonly KnownAgent[], run: MovedRun, start: number): string {
  const { name, cache } = agents[run.owner]!
  return `${placeText(cache, run.region, run.sourceOffset + start - run.targetOffset)} of ${name}`
}

function ownText(
  pattern: Pattern,
  agents: readonly KnownAgent[],
  region: WrongRegion,
  start: number,
): string {
  const place = pattern.placeOf(region.expected, start - (start % 8))
  return place === undefined ? "what was there before" : wordText(agents, place)
}

function foundText(
  agents: readonly KnownAgent[],
  region: WrongRegion,
  start: number,
  belongs: Place | undefined,
): string {
  if (belongs !== undefined) return wordText(agents, belongs)
  return `bytes ${Buffer.from(region.found.subarray(start, start + 8)).toString("hex")}`
}

function wordText(agents: readonly KnownAgent[], place: Place): string {
  const { name, cache } = agents[place.owner]!
  const where = `${placeText(cache, place.region, place.offset)} of ${name}`
  return place.poison ? `the poison of ${where}` : `${where}, epoch ${place.epoch}`
}

function sentence(
  cause: Cause,
  first: WrongPlace,
  wrongBytes: number,
  counts: ReadonlyMap<Cause, number>,
  { shift }: Segment,
): string {
  const others = [...counts].filter(([other]) => other !== cause)
  const rest = others.map(([other, bytes]) => `${sizeText(bytes)} ${other}`).join(", ")
  return [
    `${first.agent} layer ${first.layer} block ${first.block} (byte ${first.offset} of the region) holds ${first.found}`,
    ` in place of ${first.expected}: ${causes[cause]}`,
    shift === undefined ? "" : ` (by ${shift} bytes)`,
    `. ${sizeText(wrongBytes)} are wrong`,
    rest === "" ? "." : `; among them also ${rest}.`,
  ].join("")
}
