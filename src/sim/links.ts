import type { World } from "./world.ts"

/** How long a packet that was lost on a cut link waits for its next try, at first and at most. */
const retryMillis = { first: 10, most: 500 } as const

/** How fast a link is: one draw between the two for each packet. */
interface Pace {
  least: number
  most: number
}

/** The cables between hosts: how long they take, and which are cut. Each direction is a link of its own. */
export class Links {
  readonly #world: World
  readonly #cut = new Set<string>()
  readonly #off = new Set<string>()
  readonly #paces = new Map<string, Pace>()

  constructor(world: World) {
    this.#world = world
  }

  /** Milliseconds that a packet takes now. */
  latency(from: string, to: string): number {
    const pace = this.#paces.get(pair(from, to)) ?? { least: 0.05, most: from === to ? 0.2 : 2 }
    return this.#world.random.network.millis(pace.least, pace.most)
  }

  /** True while a packet would be lost: the link is cut, or one of its hosts has no power. */
  blocked(from: string, to: string): boolean {
    return this.#cut.has(pair(from, to)) || this.#off.has(from) || this.#off.has(to)
  }

  isOff(host: string): boolean {
    return this.#off.has(host)
  }

  cut(from: string, to: string): void {
    this.#cut.add(pair(from, to))
    this.#world.note("links", `${from} → ${to} is cut`)
  }

  heal(from: string, to: string): void {
    if (this.#cut.delete(pair(from, to))) this.#world.note("links", `${from} → ${to} works again`)
  }

  /** Makes a link slow, or with no pace usual again. */
  slow(from: string, to: string, pace: Pace | undefined): void {
    if (pace === undefined) this.#paces.delete(pair(from, to))
    else this.#paces.set(pair(from, to), pace)
  }

  power(host: string, on: boolean): void {
    if (on) this.#off.delete(host)
    else this.#off.add(host)
  }

  /** Every cable whole and quick, every host under power. */
  healAll(): void {
    this.#cut.clear()
    this.#off.clear()
    this.#paces.clear()
    this.#world.note("links", "all work")
  }

  /** Carries one packet: it arrives after a while, or is lost. */
  once(from: string, to: string, arrive: () => void): void {
    this.#world.timeline.after(this.latency(from, to), () => {
      if (!this.blocked(from, to)) arrive()
    })
  }

  /** Carries one packet and sends it again while it is lost, as long as `wanted()`. */
  surely(from: string, to: string, wanted: () => boolean, arrive: () => void): void {
    let wait: number = retryMillis.first
    const attempt = (): void => {
      if (!wanted()) return
      if (!this.blocked(from, to)) return arrive()
      this.#world.timeline.after(wait, attempt)
      wait = Math.min(retryMillis.most, wait * 2)
    }
    this.#world.timeline.after(this.latency(from, to), attempt)
  }
}

const pair = (from: string, to: string): string => `${from}>${to}`
