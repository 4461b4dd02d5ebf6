import { allUnits, fingerprintUnits, type StoredSequence } from "./fingerprint.ts"

/** Where hashes of stored sequences are made: on the calling thread, or by mover threads beside it. */
export interface Hasher {
  /**
   * The hashes of `units` of a sequence, in their order.
   *
   * @param unitTokens tokens of a unit: the block size of the side that sealed the sequence.
   * @param units places as `layer * unitsOfSequence + unit`; all of them when absent.
   */
  hash(sequence: StoredSequence, unitTokens: number, units?: Uint32Array): Promise<BigUint64Array>
}

/** Hashes on the calling thread: for one that has nothing better to do, for tests, and for simulations. */
export const plainHasher: Hasher = {
  hash: (sequence, unitTokens, units = allUnits(sequence, unitTokens)) =>
    Promise.resolve(fingerprintUnits(sequence, unitTokens, units)),
}
