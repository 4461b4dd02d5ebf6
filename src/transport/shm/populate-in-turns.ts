/** Bytes whose page faults are taken before other work of the thread gets a turn. */
const turnBytes = 64 * 2 ** 20

/** Bytes that may still be populated in this turn: of all mappings together. */
let untilTurn = turnBytes
let turns: Promise<unknown> = Promise.resolve()

/** A mapping whose page faults can be taken in parts. */
export interface Populatable {
  readonly byteLength: number
  populate(offset: number, length: number): void
}

/**
 * Takes the page faults of a mapping in slices, so that neither a large one nor many small ones hold the thread: a peer
 * whose signs of life are not answered meanwhile would take its leases back.
 * @throws KvError KV_OS as `populate` does.
 */
export async function populateInTurns(mapping: Populatable): Promise<void> {
  for (let at = 0; at < mapping.byteLength; at += turnBytes) {
    const length = Math.min(turnBytes, mapping.byteLength - at)
    if (untilTurn < length) {
      // One slice a turn, however many mappings are made at once.
      turns = turns.then(() => new Promise(setImmediate))
      await turns
      untilTurn = turnBytes
    }
    untilTurn -= length
    mapping.populate(at, length)
  }
}
