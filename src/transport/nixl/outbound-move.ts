import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { sharedMillis } from "../../os/clock.ts"
import type { NixlAgent } from "../../os/nixl/nixl-agent.ts"
import type { PreparedLists } from "./prepared-lists.ts"
import type { PumpState } from "./pump.ts"
import type { RemoteAgent } from "./remote-agents.ts"
import type { CallerMessage, ListenerMessage, Place } from "./side-messages.ts"

/** Requests of one move that NIXL has at once. */
const requestsMax = 8
/** How long a move that was told to stop waits for what NIXL has already. After that the agent is ended. */
const drainMillisMax = 250

/** What a move needs of its connection. */
export interface MoveHost {
  readonly agent: NixlAgent
  readonly remote: RemoteAgent
  readonly places: ReadonlyMap<number, Place>
  send(message: CallerMessage): void
  /** The move is over: nothing of it touches memory. */
  ended(move: OutboundMove, error: KvError | undefined): void
  /** NIXL refused or failed: nothing goes over this connection any more. */
  failed(error: KvError): void
  /** NIXL did not end what it was told to end: only the end of its agent is certain. */
  unstoppable(move: OutboundMove): void
}

/**
 * One post of a prepared move, on the thread that calls NIXL.
 *
 * It is announced, moves request by request, and counts only when the peer has confirmed that its regions were open
 * until the end: NIXL itself reads on from memory whose registration was taken back, and says that all is well.
 */
export class OutboundMove {
  readonly id: number
  readonly lists: PreparedLists
  readonly #host: MoveHost
  readonly #requests = new Set<number>()
  #phase: "asking" | "moving" | "draining" | "confirming" | "over" = "asking"
  #next = 0
  #remote = 0
  #error: KvError | undefined
  #drainUntil = 0
  #deadline: NodeJS.Timeout | undefined

  constructor(host: MoveHost, id: number, lists: PreparedLists) {
    this.id = id
    this.lists = lists
    this.#host = host
  }

  begin(deadlineMillis: number): void {
    const left = deadlineMillis - sharedMillis()
    if (left <= 0) return this.#end(late())
    if (left < 2 ** 31) this.#deadline = setTimeout(() => this.stop(late()), left)
    const { direction, regions } = this.lists
    this.#host.send({ type: "begin", move: this.id, direction, regions })
  }

  /** Takes the peer's answer. */
  hear(message: Extract<ListenerMessage, { move: number }>): void {
    if (message.type === "go" && this.#phase === "asking") this.#go()
    else if (message.type === "refused" && this.#phase === "asking") {
      this.#end(kvErrorFromRecord(message.error, "KV_PEER_REFUSED"))
    } else if (message.type === "confirmed" && this.#phase === "confirming") {
      this.#end(message.error === undefined ? undefined : kvErrorFromRecord(message.error, "KV_PEER_REFUSED"))
    }
  }

  /** Ends it early, with this error, as soon as nothing of it is under way. */
  stop(error: KvError): void {
    if (this.#phase === "over" || this.#phase === "draining") return
    this.#error = error
    if (this.#phase === "asking") this.#finish()
    else if (this.#phase === "confirming") this.#end(error)
    else {
      this.#phase = "draining"
      this.#drainUntil = performance.now() + drainMillisMax
      this.#drain()
    }
  }

  /** Looks at what is under way and posts what comes next. */
  step(): PumpState {
    if (this.#phase !== "moving" && this.#phase !== "draining") return "idle"
    let state: PumpState = this.#look() ? "moved" : "waiting"
    if (this.#phase === "draining") this.#drain()
    else if (this.#phase === "moving") {
      if (this.#post()) state = "moved"
      if (this.#phase === "moving" && this.#next === this.lists.parts.length && this.#requests.size === 0) {
        this.#phase = "confirming"
        this.#host.send({ type: "end", move: this.id })
      }
    }
    return state
  }

  /** NIXL's agent is about to be ended: gives back what this move holds of it. */
  surrender(): void {
    for (const request of this.#requests) this.#host.agent.releaseRequest(request)
    this.#requests.clear()
  }

  /** Nothing of it can be under way any more: NIXL's agent, or the connection with its last move, is gone. */
  abandon(error: KvError): void {
    this.#end(this.#error ?? error)
  }

  #go(): void {
    try {
      this.#remote = this.lists.remote(this.#host.remote, this.#host.places)
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      return this.stop(thrown)
    }
    this.#phase = "moving"
  }

  /** Takes back the requests that have ended. True when there was one. */
  #look(): boolean {
    const before = this.#requests.size
    for (const request of this.#requests) {
      const state = this.#host.agent.state(request)
      if (state === "under way") continue
      this.#requests.delete(request)
      this.#host.agent.releaseRequest(request)
      if (state === "failed") this.#fail()
    }
    if (this.#requests.size === before) return false
    if (this.#requests.size > 0 || this.#next < this.lists.parts.length) this.#host.send({ type: "step" })
    return true
  }

  /** Posts what comes next: one request where posting it was the copy, several where a NIC has them now. */
  #post(): boolean {
    const { agent } = this.#host
    let posted = false
    while (this.#next < this.lists.parts.length && this.#requests.size < requestsMax) {
      const { first, count } = this.lists.parts[this.#next]!
      this.#next += 1
      posted = true
      try {
        const request = agent.request(this.lists.direction, this.lists.local, this.#remote, first, count)
        const state = agent.post(request)
        if (state === "under way") {
          this.#requests.add(request)
          continue
        }
        agent.releaseRequest(request)
        if (state === "failed") this.#fail()
      } catch (thrown) {
        if (!(thrown instanceof KvError)) throw thrown
        this.#host.failed(thrown)
      }
      break
    }
    return posted
  }

  #fail(): void {
    this.#host.failed(
      new KvError("KV_PEER_LOST", {
        what: `NIXL ended a ${this.lists.direction} with an error`,
        why: "its C interface has one status for all of them, NIXL_CAPI_ERROR_BACKEND; its log says more, with NIXL_LOG_LEVEL=INFO in the environment",
        next: "check that the peer lives and that its fabric reaches it, then connect again",
      }),
    )
  }

  #drain(): void {
    if (this.#requests.size === 0) this.#finish()
    else if (performance.now() > this.#drainUntil) this.#host.unstoppable(this)
  }

  /** Tells the peer that nothing is under way, and the program why. */
  #finish(): void {
    this.#host.send({ type: "end", move: this.id })
    this.#end(this.#error)
  }

  #end(error: KvError | undefined): void {
    if (this.#phase === "over") return
    this.#phase = "over"
    clearTimeout(this.#deadline)
    this.#host.ended(this, error)
  }
}

function late(): KvError {
  return new KvError("KV_DEADLINE", {
    what: "the transfer was not done by its deadline",
    why: "NIXL itself never gives one up: a peer that stands still leaves it in progress for ever",
    next: "look whether the peer runs, or give it more time",
  })
}
