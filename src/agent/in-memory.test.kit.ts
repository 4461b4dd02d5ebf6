import type { Clock, ControlChannel } from "./control-network.ts"

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #now = 1000
  readonly #timers = new Set<{ readonly at: number; readonly action: () => void }>()

  now(): number {
    return this.#now
  }

  wallMillis(): number {
    return 1_800_000_000_000 + this.#now
  }

  after(millis: number, action: () => void): () => void {
    const timer = { at: this.#now + millis, action }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Timers that still wait. */
  get waiting(): number {
    return this.#timers.size
  }

  advance(millis: number): void {
    const end = this.#now + millis
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.action()
    }
    this.#now = end
  }
}

/** One end of a stream in memory. What is sent arrives later, whole and in order, as the other side's turn comes. */
export class PipeEnd implements ControlChannel {
  readonly peer: string
  readonly peerHost = "192.0.2.1"
  other!: PipeEnd
  closed = false
  #onBytes: (bytes: Uint8Array) => void = () => {}
  #onClose: (why: string) => void = () => {}

  constructor(peer: string) {
    this.peer = peer
  }

  send(bytes: Uint8Array): void {
    if (this.closed) return
    queueMicrotask(() => {
      if (!this.other.closed) this.other.#onBytes(bytes)
    })
  }

  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.#onBytes = listener
  }

  onClose(listener: (why: string) => void): void {
    this.#onClose = listener
  }

  close(): void {
    if (this.closed) return
    this.#end("this side closed the channel")
    queueMicrotask(() => this.other.#end("the peer closed the channel"))
  }

  #end(why: string): void {
    if (this.closed) return
    this.closed = true
    this.#onClose(why)
  }
}

/** Two ends of one stream. */
export function openPipe(): readonly [PipeEnd, PipeEnd] {
  const ends = [new PipeEnd("listener:1"), new PipeEnd("caller:2")] as const
  ends[0].other = ends[1]
  ends[1].other = ends[0]
  return ends
}

/** Resolves when everything that was sent has been delivered. */
export const delivered = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
