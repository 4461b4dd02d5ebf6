import assert from "node:assert/strict"
import type { HostMapping } from "../memory/host-memory.ts"
import { hostMemory } from "../os/host-memory.ts"
import type { CopyRuns } from "./crew.ts"

/** One run of a test: offsets in the source and the target mapping, and bytes. */
export type Run = readonly [source: number, target: number, length: number]

const poison = 0xa5

/** Two mappings: a source in which every 4-byte word says where it is, and a poisoned target. */
export class CopyRig implements Disposable {
  readonly source: HostMapping
  readonly target: HostMapping

  constructor(byteLength: number) {
    this.source = hostMemory.map(byteLength, "crew-source")
    this.target = hostMemory.map(byteLength, "crew-target")
    const bytes = this.source.view(0, byteLength)
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, byteLength / 4)
    for (let i = 0; i < words.length; i++) words[i] = i * 2654435761
    this.poison()
  }

  poison(): void {
    this.target.view(0, this.target.byteLength).fill(poison)
  }

  runs(runs: readonly Run[]): CopyRuns {
    return {
      count: runs.length,
      bytes: runs.reduce((sum, [, , length]) => sum + length, 0),
      sourceAddress: Float64Array.from(runs, ([source, , length]) => this.source.addressOf(source, length)),
      targetAddress: Float64Array.from(runs, ([, target, length]) => this.target.addressOf(target, length)),
      length: Uint32Array.from(runs, ([, , length]) => length),
    }
  }

  /** Asserts that the target holds exactly what the runs say, and poison everywhere else. */
  assertCopied(runs: readonly Run[]): void {
    const expected = Buffer.alloc(this.target.byteLength, poison)
    for (const [source, target, length] of runs) expected.set(this.source.view(source, length), target)
    const found = this.target.view(0, this.target.byteLength)
    if (Buffer.compare(expected, found) === 0) return
    const at = expected.findIndex((byte, i) => byte !== found[i])
    assert.fail(`byte ${at} is ${found[at]}, expected ${expected[at]}`)
  }

  [Symbol.dispose](): void {
    this.source[Symbol.dispose]()
    this.target[Symbol.dispose]()
  }
}

/** Runs of one length in a shuffled order, with a hole beside each. */
export function scattered(count: number, length: number): Run[] {
  return Array.from({ length: count }, (_, i): Run => {
    const from = ((i * 7919) % count) * length * 2
    const to = ((i * 104729) % count) * length * 2 + length
    return [from, to, length]
  })
}

/** A moment some seconds away. */
export const soon = (): number => performance.now() + 20_000
