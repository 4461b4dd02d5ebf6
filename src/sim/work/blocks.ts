import { KvError } from "../../errors/kv-error.ts"
import { kvStrides } from "../../kv/kv-layout.ts"
import { isScribbled, scribble } from "../content.ts"
import type { Life } from "../node.ts"
import type { Ledger } from "./ledger.ts"

/** How long blocks lie still after the end of their ticket, watched, before they are given back. Milliseconds. */
const watchMillis = { least: 1, most: 40 } as const

/** Blocks of a pool, or undefined when it has not so many. */
export function allocated({ pool }: Life, count: number): Uint32Array | undefined {
  try {
    return pool.allocator.allocate(count)
  } catch (thrown) {
    if (thrown instanceof KvError && thrown.code === "KV_POOL_EXHAUSTED") return undefined
    throw thrown
  }
}

/** Blocks that nobody may write for a while: every byte of them is known, and every fabric is watched. */
export class StillBlocks {
  readonly #ledger: Ledger
  readonly #life: Life
  readonly #blocks: Uint32Array
  readonly #why: string
  readonly #filling: number
  readonly #drops: (() => void)[]

  constructor(ledger: Ledger, life: Life, blocks: Uint32Array, why: string) {
    const { pool, process } = life
    this.#ledger = ledger
    this.#life = life
    this.#blocks = blocks
    this.#why = why
    this.#filling = ledger.newFilling(`${process.name}: ${why}`)
    scribble({ ...pool, blocks }, this.#filling)
    const { block } = kvStrides(pool.layout)
    this.#drops = life.layers.flatMap((mapping) =>
      [...blocks].map((id) => mapping.guard(id * block, block, why)),
    )
  }

  /** Ends the watch, and looks whether something was written all the same. */
  end(): void {
    const { pool, process } = this.#life
    for (const drop of this.#drops) drop()
    if (isScribbled({ ...pool, blocks: this.#blocks }, this.#filling)) return
    this.#ledger.world.broken("P2", process.name, `blocks were written though ${this.#why}`)
  }
}

/** Watches blocks for a while after the end of their ticket or lease, then gives them back. */
export function giveBackWatched(ledger: Ledger, life: Life, blocks: Uint32Array, why: string): void {
  const still = new StillBlocks(ledger, life, blocks, why)
  const millis = ledger.world.random.workload.millis(watchMillis.least, watchMillis.most)
  life.process.later(millis, () => {
    still.end()
    life.pool.allocator.release(blocks)
  })
}
