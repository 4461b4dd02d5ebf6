import { KvError } from "../errors/kv-error.ts"
import type { Clock, ControlChannel, ControlNetwork } from "./control-network.ts"

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #now: number
  readonly #timers = new Set<{ readonly at: number; readonly action: () => void }>()

  constructor(start = 1000) {
    this.#now = start
  }

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
  /** What came before anybody listened, as a socket keeps it. */
  #early: Uint8Array[] = []
  #onBytes: ((bytes: Uint8Array) => void) | undefined
  #onClose: (why: string) => void = () => {}

  constructor(peer: string) {
    this.peer = peer
  }

  send(bytes: Uint8Array): void {
    if (this.closed) return
    queueMicrotask(() => {
      if (!this.other.closed) this.other.#take(bytes)
    })
  }

  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.#onBytes = listener
    for (const bytes of this.#early.splice(0)) listener(bytes)
  }

  onClose(listener: (why: string) => void): void {
    this.#onClose = listener
    if (this.closed) queueMicrotask(() => listener("the peer closed the channel"))
  }

  close(): void {
    if (this.closed) return
    this.#end("this side closed the channel")
    queueMicrotask(() => this.other.#end("the peer closed the channel"))
  }

  #take(bytes: Uint8Array): void {
    if (this.#onBytes === undefined) this.#early.push(bytes)
    else this.#onBytes(bytes)
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

/** A network in memory: whoever listens at a port is reached by it. Keeps the callers' ends, for cutting them. */
export class MemoryNetwork implements ControlNetwork {
  readonly ends: PipeEnd[] = []
  readonly #listeners = new Map<number, (channel: ControlChannel) => void>()

  listen(host: string, port: number, onChannel: (channel: ControlChannel) => void) {
    const taken = port === 0 ? this.#listeners.size + 1 : port
    this.#listeners.set(taken, onChannel)
    const close = (): Promise<void> => {
      this.#listeners.delete(taken)
      return Promise.resolve()
    }
    return Promise.resolve({ host, port: taken, [Symbol.asyncDispose]: close })
  }

  connect(host: string, port: number): Promise<ControlChannel> {
    const onChannel = this.#listeners.get(port)
    if (onChannel === undefined) {
      return Promise.reject(new KvError("KV_PEER_UNREACHABLE", { what: `nobody listens at ${host}:${port}` }))
    }
    const [caller, listener] = openPipe()
    this.ends.push(caller)
    onChannel(listener)
    return Promise.resolve(caller)
  }
}
