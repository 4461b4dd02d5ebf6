import type { Rights } from "../transport.ts"
import type { LocalLane, LocalRail, Plain, WorkFailure } from "./driver.ts"
import type { AttachCommand, RailEvent } from "./rail-messages.ts"
import type { RailThread } from "./rail-thread-handle.ts"

/** One opened rail with its thread. */
export interface RunningRail {
  readonly rail: LocalRail
  readonly thread: RailThread
}

/** How a lane ended. */
export interface LaneEnd {
  readonly failure: WorkFailure | undefined
}

let nextLane = 1

/** The lanes of one endpoint: which thread has which, and what became of it. */
export class Lanes {
  readonly #lanes = new Map<number, Lane>()
  readonly #rails: readonly RunningRail[]

  constructor(rails: readonly RunningRail[]) {
    this.#rails = rails
  }

  /** Makes our end of a lane; nobody knows of it yet. @throws KvError KV_OS, KV_LIMIT. */
  async open(rail: number, rights: Rights): Promise<Lane> {
    const running = this.#rails[rail]!
    const lane = new Lane(nextLane++, rail, running.thread, await running.rail.openLane(rights), () =>
      this.#lanes.delete(lane.number),
    )
    this.#lanes.set(lane.number, lane)
    return lane
  }

  /** One event of a rail's thread. */
  hear(event: RailEvent): void {
    if (event.type === "attached") this.#lanes.get(event.lane)?.hearAttached()
    else if (event.type === "proven") this.#lanes.get(event.lane)?.hearProven()
    else if (event.type === "lane-ended") this.#lanes.get(event.lane)?.hearEnded({ failure: event.failure })
  }

  /** A rail's thread is gone: nobody touches its lanes any more. */
  railGone(rail: number): void {
    for (const lane of [...this.#lanes.values()])
      if (lane.rail === rail) lane.hearEnded({ failure: undefined })
  }
}

/** This side's end of one lane, as the main thread holds it. */
export class Lane {
  readonly number: number
  readonly rail: number
  /** Resolves when its thread has it in its care. */
  readonly attached: Promise<void>
  /** Resolves with true when it was proven there and back, with false when it ended before. */
  readonly proven: Promise<boolean>
  /** Resolves when nothing of it is under way any more: it can be closed. */
  readonly ended: Promise<LaneEnd>
  readonly #local: LocalLane
  readonly #thread: RailThread
  readonly #forget: () => void
  #handedOver = false
  #closed: Promise<void> | undefined
  hearAttached!: () => void
  #resolveProven!: (proven: boolean) => void
  #resolveEnded!: (end: LaneEnd) => void

  constructor(number: number, rail: number, thread: RailThread, local: LocalLane, forget: () => void) {
    this.number = number
    this.rail = rail
    this.#thread = thread
    this.#local = local
    this.#forget = forget
    this.attached = new Promise((resolve) => {
      this.hearAttached = resolve
    })
    this.proven = new Promise((resolve) => {
      this.#resolveProven = resolve
    })
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
  }

  get end(): Plain {
    return this.#local.end
  }

  /** @throws KvError KV_PEER_REFUSED, KV_PEER_UNREACHABLE, KV_OS. */
  connect(peer: Plain): Promise<void> {
    return this.#local.connect(peer)
  }

  /** Gives the connected lane to its rail's thread. */
  attach(command: Pick<AttachCommand, "connection" | "place" | "window" | "prove">): void {
    this.#handedOver = true
    this.#thread.tell({ type: "attach", lane: this.number, handle: this.#local.handle, ...command })
    if (this.#thread.gone) this.hearEnded({ failure: undefined })
  }

  hearProven(): void {
    this.#resolveProven(true)
  }

  hearEnded(end: LaneEnd): void {
    this.#handedOver = false
    this.hearAttached()
    this.#resolveProven(false)
    this.#resolveEnded(end)
  }

  /** Ends it and gives its resources back; resolves when nothing of it can touch memory any more. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    if (this.#handedOver) {
      this.#thread.tell({ type: "stop-lane", lane: this.number })
      if (this.#thread.gone) this.hearEnded({ failure: undefined })
      await this.ended
    } else this.hearEnded({ failure: undefined })
    this.#forget()
    // A library that has not come back holds its own locks: whoever else called it would not come back either.
    if (this.#thread.stuck === undefined) await this.#local.close()
  }
}
