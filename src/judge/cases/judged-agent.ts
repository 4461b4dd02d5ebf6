import type { DriverProcess } from "../driver/driver-process.ts"
import type { Answers, CacheShape, Capability } from "../driver/protocol.ts"
import { blockBytes, regionBytes } from "../pattern/cache-places.ts"
import type { MovedRun } from "../pattern/classify.ts"
import type { Pattern } from "../pattern/pattern.ts"

/** An agent under judgement: its driver, and what its memory must hold. */
export class JudgedAgent {
  readonly name: string
  /** Its number in the pattern. */
  readonly owner: number
  readonly cache: CacheShape
  readonly driver: DriverProcess
  readonly opened: Answers["open"]
  /** What each region must hold, byte for byte. */
  readonly expected: readonly Uint8Array[]
  /** What was to land in each region since it was poisoned. */
  readonly runs: MovedRun[][]
  readonly #pattern: Pattern
  /** Whether anything was ever to be written here by a transfer. */
  isTarget = false
  readonly #heard: Answers["notes"]["notes"][number][] = []
  #transfers = 0
  #epoch = 0

  constructor(
    driver: DriverProcess,
    opened: Answers["open"],
    about: {
      readonly name: string
      readonly owner: number
      readonly cache: CacheShape
      readonly pattern: Pattern
      /** That of the process before it, after a restart. */
      readonly epoch?: number
    },
  ) {
    this.driver = driver
    this.opened = opened
    this.name = about.name
    this.owner = about.owner
    this.cache = about.cache
    this.#pattern = about.pattern
    this.#epoch = about.epoch ?? 0
    const bytes = regionBytes(about.cache)
    this.expected = Array.from({ length: about.cache.layers }, () => new Uint8Array(bytes))
    this.runs = this.expected.map(() => [])
  }

  /** The latest epoch of its pattern. */
  get epoch(): number {
    return this.#epoch
  }

  get capabilities(): readonly Capability[] {
    return this.opened.capabilities
  }

  get blockBytes(): number {
    return blockBytes(this.cache)
  }

  get regionBytes(): number {
    return regionBytes(this.cache)
  }

  /** Its memory itself: what the engine sees and writes. */
  memory(region: number): Uint8Array {
    return this.driver.memory[region]!.view(0, this.regionBytes)
  }

  /** What peers have said to it since it was last asked, in order. */
  async notes(): Promise<Answers["notes"]["notes"]> {
    const { notes } = await this.driver.ask("notes", {})
    return [...this.#heard.splice(0), ...notes]
  }

  /** True once a note has come; it is then taken away. */
  async hears(text: string): Promise<boolean> {
    const { notes } = await this.driver.ask("notes", {})
    this.#heard.push(...notes)
    const at = this.#heard.findIndex((note) => note.text === text)
    if (at >= 0) this.#heard.splice(at, 1)
    return at >= 0
  }

  /** A number for one more transfer that this agent posts. */
  nextTransfer(): number {
    this.#transfers += 1
    return this.#transfers
  }

  /** Writes a new epoch of its pattern into all its memory: what the pool of a source looks like. */
  fillAll(): void {
    this.#epoch += 1
    for (let region = 0; region < this.cache.layers; region++)
      this.write(region, 0, this.regionBytes, this.#epoch)
  }

  /** Another sequence writes into these blocks, in all layers or one. */
  fillBlocks(blocks: readonly number[], layers: readonly number[] = this.#layers()): void {
    this.#epoch += 1
    for (const layer of layers) {
      for (const block of blocks) this.write(layer, block * this.blockBytes, this.blockBytes, this.#epoch)
    }
  }

  /** Poisons all its memory: what a target looks like. */
  poison(): void {
    for (const [region, expected] of this.expected.entries()) {
      this.#fill(region, 0, expected.byteLength, this.#epoch, true)
      this.runs[region]!.length = 0
    }
  }

  /** Poisons again what was to be written since. The rest is as it was: that was checked, or will be. */
  poisonAgain(): void {
    for (const [region, runs] of this.runs.entries()) {
      for (const { targetOffset, length } of runs) this.#fill(region, targetOffset, length, this.#epoch, true)
      runs.length = 0
    }
  }

  /** Poisons blocks, in all layers. */
  poisonBlocks(blocks: readonly number[]): void {
    for (const layer of this.#layers()) {
      for (const block of blocks) {
        const start = block * this.blockBytes
        this.#fill(layer, start, this.blockBytes, this.#epoch, true)
        this.#forget(layer, start, this.blockBytes)
      }
    }
  }

  /** Writes the pattern of an epoch into a range, as the agent's own process would. */
  write(region: number, offset: number, length: number, epoch: number): void {
    this.#fill(region, offset, length, epoch, false)
    this.#forget(region, offset, length)
  }

  /** Notes that bytes were to land: what is to be found from now on. */
  expect(region: number, run: MovedRun, bytes: Uint8Array): void {
    this.expected[region]!.set(bytes, run.targetOffset)
    this.runs[region]!.push(run)
  }

  /** Takes what is there for what is expected: after a transfer that has failed, whose target says nothing. */
  accept(region: number, offset: number, length: number): void {
    this.expected[region]!.set(this.memory(region).subarray(offset, offset + length), offset)
  }

  /** What was to land in a range no longer says what is there. */
  #forget(region: number, offset: number, length: number): void {
    this.runs[region] = this.runs[region]!.filter(
      ({ targetOffset }) => targetOffset < offset || targetOffset >= offset + length,
    )
  }

  #fill(region: number, offset: number, length: number, epoch: number, poison: boolean): void {
    const expected = this.expected[region]!.subarray(offset, offset + length)
    this.#pattern.fill(expected, { owner: this.owner, region, epoch, poison }, offset)
    this.memory(region).set(expected, offset)
  }

  #layers(): number[] {
    return this.expected.map((_, layer) => layer)
  }
}
