import { blocksFor } from "../kv/kv-layout.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import type { Hasher } from "../verify/hasher.ts"

/** What a seal was made of: any of it changed, and it is another block. */
interface Seal {
  readonly epoch: number
  readonly position: number
  readonly tokens: number
  /** One hash for each layer. */
  readonly hashes: BigUint64Array
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
    const { layout, tokens } = sequence
    const layers = layout.shape.layers
    const positions = blocksFor(tokens, layout.blockTokens)
    const epochs = Array.from({ length: positions }, (_, position) =>
      this.#epochOf(sequence.blocks[position]!),
    )
    // Kept aside: while the missing ones are made, another lease may seal the same block as a longer one.
    const seals = epochs.map((epoch, position) => this.#known(sequence, position, epoch))
    const missing = seals.flatMap((seal, position) => (seal === undefined ? [position] : []))
    if (missing.length > 0) {
      const units = new Uint32Array(missing.length * layers)
      missing.forEach((position, i) => {
        for (let layer = 0; layer < layers; layer++) units[i * layers + layer] = layer * positions + position
      })
      const hashes = await this.#hasher.hash(sequence, layout.blockTokens, units)
      missing.forEach((position, i) => {
        const seal = {
          epoch: epochs[position]!,
          position,
          tokens: tokensAt(sequence, position),
          hashes: hashes.slice(i * layers, (i + 1) * layers),
        }
        seals[position] = seal
        this.#seals.set(sequence.blocks[position]!, seal)
      })
    }
    const all = new BigUint64Array(layers * positions)
    for (let position = 0; position < positions; position++) {
      const { hashes } = seals[position]!
      for (let layer = 0; layer < layers; layer++) all[layer * positions + position] = hashes[layer]!
    }
    return all
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
