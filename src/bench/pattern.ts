import type { MemorySpan } from "../memory/host-memory.ts"
import type { TransferPlan } from "../plan/transfer-plan.ts"
import { fingerprintBytes, hashText } from "../verify/fingerprint.ts"

/** What a target holds before a run: no place of the pattern's. */
const poison = 0xa5

/** A word that is not what the plan says should be there. */
export interface WrongWord {
  readonly piece: number
  readonly region: number
  readonly byteOffset: number
  readonly found: number
  readonly expected: number
}

/** Writes into every source piece of a plan words that say where they are: region and offset, as one number. */
export function writePattern(plan: TransferPlan, spans: readonly MemorySpan[]): void {
  for (let i = 0; i < plan.pieces; i++) {
    const words = wordsOf(spans, plan.sourceRegion[i]!, plan.sourceOffset[i]!, plan.length[i]!)
    const first = placeWord(spans, plan.sourceRegion[i]!, plan.sourceOffset[i]!)
    for (let word = 0; word < words.length; word++) words[word] = first + word
  }
}

/** Fills every target piece of a plan with bytes that the pattern does not have there. */
export function wipeTarget(plan: TransferPlan, spans: readonly MemorySpan[]): void {
  for (let i = 0; i < plan.pieces; i++) {
    spans[plan.targetRegion[i]!]!.view(plan.targetOffset[i]!, plan.length[i]!).fill(poison)
  }
}

/** The first word, at the source or at the target, that does not say the place in the source that it belongs to. */
export function firstWrongWord(
  plan: TransferPlan,
  spans: readonly MemorySpan[],
  side: "source" | "target",
): WrongWord | undefined {
  const { regions, offsets } = columnsOf(plan, side)
  for (let i = 0; i < plan.pieces; i++) {
    const region = regions[i]!
    const words = wordsOf(spans, region, offsets[i]!, plan.length[i]!)
    const first = placeWord(spans, plan.sourceRegion[i]!, plan.sourceOffset[i]!)
    for (let word = 0; word < words.length; word++) {
      const expected = (first + word) >>> 0
      const found = words[word]!
      if (found === expected) continue
      return { piece: i, region, byteOffset: offsets[i]! + word * 4, found, expected }
    }
  }
  return undefined
}

/** One hash over the bytes of all pieces, in plan order, at the source or at the target. */
export function hashOfPieces(
  plan: TransferPlan,
  spans: readonly MemorySpan[],
  side: "source" | "target",
): string {
  const { regions, offsets } = columnsOf(plan, side)
  const hashes = new BigUint64Array(plan.pieces)
  for (let i = 0; i < plan.pieces; i++) {
    hashes[i] = fingerprintBytes(spans[regions[i]!]!.view(offsets[i]!, plan.length[i]!))
  }
  return hashText(fingerprintBytes(new Uint8Array(hashes.buffer)))
}

function columnsOf(plan: TransferPlan, side: "source" | "target") {
  return side === "source"
    ? { regions: plan.sourceRegion, offsets: plan.sourceOffset }
    : { regions: plan.targetRegion, offsets: plan.targetOffset }
}

/** Both sides have pools of one layout, so a place has the same number on each. */
function placeWord(spans: readonly MemorySpan[], region: number, offset: number): number {
  return (region * (spans[0]!.byteLength / 4) + offset / 4 + 1) >>> 0
}

function wordsOf(spans: readonly MemorySpan[], region: number, offset: number, length: number): Uint32Array {
  const view = spans[region]!.view(offset, length)
  return new Uint32Array(view.buffer, view.byteOffset, length / 4)
}
