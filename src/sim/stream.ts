import type { Links } from "./links.ts"
import type { World } from "./world.ts"

/** Wait before a lost segment is tried again, at first and at most; and the silence after which a stream gives up. */
const retry = { first: 10, most: 500, giveUp: 15_000 } as const

interface Segment {
  /** Absent at the end of the stream. */
  bytes: Uint8Array | undefined
  at: number
}

/** What a stream of one direction needs from the two sockets that it joins. */
export interface StreamEnds {
  readonly from: string
  readonly to: string
  /** Bytes arrived; undefined is the end. */
  arrive(bytes: Uint8Array | undefined): void
  /** The other side was silent for too long. */
  giveUp(): void
}

/**
 * One direction of a TCP connection: what is sent arrives in order, once, in pieces that are not those that were sent.
 *
 * A cut link only delays, until the sender gives up.
 */
export class Stream {
  readonly #world: World
  readonly #links: Links
  readonly #ends: StreamEnds
  readonly #queue: Segment[] = []
  #pumping = false
  #stopped = false
  #wait: number = retry.first
  #blockedSince: number | undefined
  #queuedBytes = 0
  #queuedPeak = 0

  constructor(world: World, links: Links, ends: StreamEnds) {
    this.#world = world
    this.#links = links
    this.#ends = ends
  }

  /** Most bytes that were on their way at once. */
  get queuedPeak(): number {
    return this.#queuedPeak
  }

  /** True while something is on its way. */
  get busy(): boolean {
    return this.#queue.length > 0
  }

  send(bytes: Uint8Array): void {
    if (this.#stopped) return
    const random = this.#world.random.network
    this.#queuedBytes += bytes.byteLength
    this.#queuedPeak = Math.max(this.#queuedPeak, this.#queuedBytes)
    const last = this.#queue.at(-1)
    if (last?.bytes !== undefined && this.#queue.length > 1 && random.chance(0.3)) {
      last.bytes = joined(last.bytes, bytes)
      return
    }
    for (let rest = bytes; rest.byteLength > 0; ) {
      const length = random.chance(0.7) ? rest.byteLength : random.between(1, rest.byteLength)
      this.#add(rest.slice(0, length))
      rest = rest.subarray(length)
    }
  }

  /** The end comes behind all that was sent. */
  end(): void {
    this.#add(undefined)
  }

  /** Drops what is still on its way, and everything after it. */
  stop(): void {
    this.#stopped = true
    this.#queue.length = 0
  }

  #add(bytes: Uint8Array | undefined): void {
    if (this.#stopped) return
    const { from, to } = this.#ends
    const arrival = this.#world.now + this.#links.latency(from, to)
    this.#queue.push({ bytes, at: Math.max(arrival, this.#queue.at(-1)?.at ?? 0) })
    this.#pump()
  }

  #pump(): void {
    const head = this.#queue[0]
    if (this.#pumping || head === undefined) return
    this.#pumping = true
    this.#world.timeline.after(head.at - this.#world.now, () => {
      this.#pumping = false
      if (this.#stopped) return
      if (this.#links.blocked(this.#ends.from, this.#ends.to)) return this.#tryLater(head)
      this.#wait = retry.first
      this.#blockedSince = undefined
      this.#queue.shift()
      this.#queuedBytes -= head.bytes?.byteLength ?? 0
      this.#ends.arrive(head.bytes)
      this.#pump()
    })
  }

  #tryLater(head: Segment): void {
    this.#blockedSince ??= this.#world.now
    if (this.#world.now - this.#blockedSince >= retry.giveUp) return this.#ends.giveUp()
    head.at = this.#world.now + this.#wait
    this.#wait = Math.min(retry.most, this.#wait * 2)
    this.#pump()
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.byteLength + b.byteLength)
  both.set(a)
  both.set(b, a.byteLength)
  return both
}
