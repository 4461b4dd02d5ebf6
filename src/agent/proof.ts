import { KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout } from "../kv/kv-layout.ts"
import type { IntegrityLevel } from "../receipt/receipt.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import { firstDifferentBlock } from "../verify/first-difference.ts"
import type { Hasher } from "../verify/hasher.ts"
import type { Clock } from "./control-network.ts"
import type { HeldLease } from "./held-lease.ts"
import type { StampCheck } from "./stamps.ts"
import type { TicketRun } from "./ticket.ts"
import { untilOver } from "./until-over.ts"

/** One unit in this many is compared at level `sampled`, and at least one of each layer. */
export const sampledOneIn = 16

/** True when a level compares hashes. */
export const needsHashes = (level: IntegrityLevel): boolean => level === "sampled" || level === "full"

/** Looks at the stamps of the source's blocks, after the last byte was read. @throws KvError KV_BLOCK_REUSED. */
export async function proveEpochs(run: TicketRun, held: HeldLease, stamps: StampCheck): Promise<void> {
  const position = await stamps.firstMoved(run)
  run.epochsChecked = stamps.count
  if (position === undefined) return
  run.reused = true
  throw new KvError("KV_BLOCK_REUSED", {
    what: `block ${position} of the sequence was reused while it was read`,
    why: `its stamp was ${held.granted.epochs[position]} when the lease began, and has moved`,
    next: "send the request again: its prompt must be computed anew",
  })
}

/** A sequence that was moved, and how it is compared with its seals. */
export interface HashProof {
  readonly level: IntegrityLevel
  readonly sequence: StoredSequence
  /** Tokens of a unit: the block size of the side that sealed. */
  readonly unitTokens: number
  readonly hasher: Hasher
  readonly random: (below: number) => number
  readonly clock: Clock
  /** Hashes that were made while the bytes landed, by unit; the others are made now. */
  readonly made?: ReadonlyMap<number, bigint>
  readonly requestId?: string | undefined
}

/**
 * Hashes the target and compares it with what the source sealed. Returns how many hashes were compared.
 * @throws KvError KV_BYTES_DIFFER with the first place; KV_PEER_REFUSED when the seals do not fit the sequence;
 *   KV_DEADLINE, KV_CANCELLED.
 */
export async function proveHashes(
  run: Pick<TicketRun, "hashesChecked" | "difference" | "deadline" | "signal">,
  expected: BigUint64Array,
  proof: HashProof,
): Promise<void> {
  const { sequence, unitTokens } = proof
  const positions = blocksFor(sequence.tokens, unitTokens)
  const wanted = sequence.layout.shape.layers * positions
  if (expected.length !== wanted) {
    throw new KvError("KV_PEER_REFUSED", {
      what: `integrity "${proof.level}" was asked for, and the source sent ${expected.length} of ${wanted} hashes`,
      why: "it did not seal the sequence",
      next: "report this: the two sides disagree about one sequence",
    })
  }
  const units =
    proof.level === "full" ? undefined : sampleUnits(sequence.layout.shape.layers, positions, proof.random)
  const hashing = hashUnits(proof, units ?? Uint32Array.from({ length: wanted }, (_, unit) => unit))
  const found = await untilOver(hashing, run, proof.clock, `the hashing of ${wanted} units`)
  const sealed = units === undefined ? expected : BigUint64Array.from(units, (unit) => expected[unit]!)
  run.hashesChecked = found.length
  const first = firstDifferentBlock(sealed, found, found.length)
  if (first === undefined) return
  const unit = units?.[first.block] ?? first.block
  run.difference = { layer: Math.floor(unit / positions), block: unit % positions }
  const { layer, block } = run.difference
  const of = proof.requestId === undefined ? "the sequence" : `request ${proof.requestId}`
  throw new KvError("KV_BYTES_DIFFER", {
    what: `layer ${layer}, block ${block} of ${of} differs from what the source sealed`,
    next: "do not use the answer; run `kvferry demo` on these two machines to see whether it happens again",
  })
}

/** Units to compare, ascending: one of each layer, and more by lot until one in `sampledOneIn` is drawn. */
export function sampleUnits(
  layers: number,
  positions: number,
  random: (below: number) => number,
): Uint32Array {
  const drawn = new Set<number>()
  for (let layer = 0; layer < layers; layer++) drawn.add(layer * positions + random(positions))
  const wanted = Math.ceil((layers * positions) / sampledOneIn)
  while (drawn.size < wanted) {
    // Onwards from one that is drawn already: this ends whatever the lot says.
    let unit = random(layers * positions)
    while (drawn.has(unit)) unit = (unit + 1) % (layers * positions)
    drawn.add(unit)
  }
  return Uint32Array.from(drawn).sort()
}

async function hashUnits(
  { sequence, unitTokens, hasher, made }: HashProof,
  units: Uint32Array,
): Promise<BigUint64Array> {
  if (made === undefined || made.size === 0) return hasher.hash(sequence, unitTokens, units)
  const missing = units.filter((unit) => !made.has(unit))
  const later = missing.length === 0 ? [] : await hasher.hash(sequence, unitTokens, missing)
  let next = 0
  return BigUint64Array.from(units, (unit) => made.get(unit) ?? later[next++]!)
}

/** A seal covers all heads of its side: over a part of them, or over more, the hashes could never agree. */
export function checkSameHeads(source: KvLayout, target: KvLayout, level: IntegrityLevel): void {
  if (source.firstHead === target.firstHead && source.heads === target.heads) return
  const range = ({ firstHead, heads }: KvLayout): string => `${firstHead} to ${firstHead + heads - 1}`
  throw new KvError("KV_PEER_REFUSED", {
    what: `integrity "${level}" was asked for, and the source holds heads ${range(source)}, the target ${range(target)}`,
    why: "the source seals all its heads together",
    next: 'use integrity "epoch", or workers with the same heads',
  })
}
