import { blocksFor } from "../kv/kv-layout.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import type { Hasher } from "../verify/hasher.ts"

/** What a seal was made of: any of it changed, and it is another block. */
interface Seal {
  readonly epoch: number
  readonly position: number
  readonly tokens: number
  /** One hash for each layer; here once `made` has resolved. */
  hashes: BigUint64Array
  /** The run of the hasher that makes it, and others with it. */
  readonly made: Promise<void>
}

/**
 * The hashes of this side's blocks, each made once: when its block is first lent, beside the main thread.
 *
 * A block that many sequences share, as a common prefix does, is not hashed again until it was reused.
 */
export class Seals {
  readonly #hasher: Hasher
  readonly #epochOf: (block: number) => number
  readonly #seals = new Map<number, Seal>()

  constructor(hasher: Hasher, epochOf: (block: number) => number) {
    this.#hasher = hasher
    this.#epochOf = epochOf
  }

  /**
   * One hash for each (layer, block) of a sequence, layer by layer. Its blocks must not change meanwhile.
   * @throws KvError as the hasher does.
   */
  async seal(sequence: StoredSequence): Promise<BigUint64Array> {
    const { blocks, layout, tokens } = sequence
    const layers = layout.shape.layers
    const positions = blocksFor(tokens, layout.blockTokens)
    const epochs = Array.from({ length: positions }, (_, position) => this.#epochOf(blocks[position]!))
    // Kept aside: while the missing ones are made, another lease may seal the same block as a longer one.
    const known = epochs.map((epoch, position) => this.#known(sequence, position, epoch))
    const missing = known.flatMap((seal, position) => (seal === undefined ? [position] : []))
    const made = missing.length === 0 ? [] : this.#make(sequence, missing, epochs)
    let next = 0
    const seals = known.map((seal) => seal ?? made[next++]!)
    await Promise.all(new Set(seals.map((seal) => seal.made)))
    const all = new BigUint64Array(layers * positions)
    for (let position = 0; position < positions; position++) {
      const { hashes } = seals[position]!
      for (let layer = 0; layer < layers; layer++) all[layer * positions + position] = hashes[layer]!
    }
    return all
  }

  /** Forgets what blocks were sealed with: they are about to be changed without being given back in between. */
  forget(blocks: Uint32Array): void {
    if (this.#seals.size > 0) for (const block of blocks) this.#seals.delete(block)
  }

  /** Begins to hash blocks at some positions; whoever wants the same ones meanwhile waits for the same run. */
  #make(sequence: StoredSequence, missing: readonly number[], epochs: readonly number[]): Seal[] {
    const { blocks, layout, tokens } = sequence
    const layers = layout.shape.layers
    const positions = blocksFor(tokens, layout.blockTokens)
    const units = new Uint32Array(missing.length * layers)
    missing.forEach((position, i) => {
      for (let layer = 0; layer < layers; layer++) units[i * layers + layer] = layer * positions + position
    })
    const hashing = this.#hasher.hash(sequence, layout.blockTokens, units)
    const made = hashing.then(
      (hashes) =>
        seals.forEach((seal, i) => {
          seal.hashes = hashes.slice(i * layers, (i + 1) * layers)
        }),
      (thrown: unknown) => {
        seals.forEach((seal, i) => {
          const block = blocks[missing[i]!]!
          if (this.#seals.get(block) === seal) this.#seals.delete(block)
        })
        throw thrown
      },
    )
    const seals = missing.map((position): Seal => {
      const seal = {
        epoch: epochs[position]!,
        position,
        tokens: tokensAt(sequence, position),
        hashes: new BigUint64Array(0),
        made,
      }
      this.#seals.set(blocks[position]!, seal)
      return seal
    })
    return seals
  }

  #known(sequence: StoredSequence, position: number, epoch: number): Seal | undefined {
    const seal = this.#seals.get(sequence.blocks[position]!)
    const same =
      seal?.epoch === epoch && seal.position === position && seal.tokens === tokensAt(sequence, position)
    return same ? seal : undefined
  }
}

const tokensAt = ({ layout, tokens }: StoredSequence, position: number): number =>
  Math.min(layout.blockTokens, tokens - position * layout.blockTokens)
