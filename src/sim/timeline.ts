/** An action that waits for its time. `cancelled` ones are skipped when their time comes. */
interface Entry {
  readonly at: number
  readonly order: number
  readonly action: () => void
  cancelled: boolean
}

/**
 * Virtual time: actions in a heap, run one by one in the order of their times.
 *
 * Between two actions every microtask is run, so that what an action set in motion has come to rest before the next
 * one. Two actions of one moment run in the order in which they were asked for.
 */
export class Timeline {
  #now = 0
  #order = 0
  readonly #heap: Entry[] = []

  /** Milliseconds since the beginning of the schedule. */
  get now(): number {
    return this.#now
  }

  /** Actions that wait, the cancelled ones among them. */
  get waiting(): number {
    return this.#heap.length
  }

  /** Runs `action` after `millis`, never before what is due now. Returns what cancels it. */
  after(millis: number, action: () => void): () => void {
    const entry = { at: this.#now + Math.max(0, millis), order: this.#order++, action, cancelled: false }
    this.#push(entry)
    return () => {
      entry.cancelled = true
    }
  }

  /**
   * Runs until `until()` says so, the time is `end`, or nothing waits any more. Returns how many actions it ran.
   *
   * @param most bound on the actions, against a schedule that never comes to rest.
   */
  async run(end: number, most: number, until: () => boolean = () => false): Promise<number> {
    let ran = 0
    await settle()
    while (ran < most && !until()) {
      const next = this.#heap[0]
      if (next === undefined || next.at > end) break
      this.#pop()
      if (next.cancelled) continue
      this.#now = next.at
      next.action()
      ran += 1
      await settle()
    }
    return ran
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (before(heap[parent]!, entry)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1
      if (before(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/**
 * Resolves when every microtask has run, also those that others queued.
 *
 * Only to be called in a microtask. A tick that is asked for in one runs when the queue of microtasks is empty, and costs a quarter of a turn of
 * the event loop. The event loop itself stands still meanwhile: nothing real may be awaited in a schedule.
 */
export const settle = (): Promise<void> => new Promise(runAsTick)

const runAsTick = (resolve: () => void): void => process.nextTick(resolve)
