import { asKvError, KvError } from "../../errors/kv-error.ts"
import type { Rights } from "../transport.ts"
import type { LanePair, Plain, WorkFailure } from "./driver.ts"
import type { Lane, Lanes } from "./lanes.ts"
import type { AttachCommand } from "./rail-messages.ts"
import type { SideCalls } from "./side-calls.ts"

/** How long a peer may take to answer for a lane, and a lane to be proven: at first, and when one is mended. */
const patience = { open: { answer: 5000, proof: 5000 }, mend: { answer: 1000, proof: 2000 } } as const
/** After a lane could not be mended, nobody tries again for this long; twice as long each time, up to the other. */
const firstPauseMillis = 500
const longestPauseMillis = 30_000
/** The peer's rights over a lane that this side asked for: none. It only serves our requests. */
const noRights: Rights = { read: false, write: false }

type Standing = "up" | "mending" | "down"

interface Place {
  readonly pair: LanePair
  lane: Lane | undefined
  standing: Standing
  pauseMillis: number
}

/** What the lanes of a connection tell their holder. */
export interface LanesListener {
  /** Nothing is up and nothing is being mended: the connection carries nothing any more. */
  allDown(failure: WorkFailure | undefined): void
}

/** The lanes that one connection asked for: opened together, proven one by one, and mended while the connection lives. */
export class ConnectionLanes {
  readonly #connection: number
  readonly #lanes: Lanes
  readonly #calls: SideCalls
  readonly #window: AttachCommand["window"]
  readonly #listener: LanesListener
  readonly #places: Place[]
  readonly #mending = new Set<Promise<void>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #closed = false
  #lastFailure: WorkFailure | undefined

  constructor(
    connection: number,
    lanes: Lanes,
    calls: SideCalls,
    window: AttachCommand["window"],
    pairs: readonly LanePair[],
    listener: LanesListener,
  ) {
    this.#connection = connection
    this.#lanes = lanes
    this.#calls = calls
    this.#window = window
    this.#listener = listener
    this.#places = pairs.map((pair) => ({
      pair,
      lane: undefined,
      standing: "mending",
      pauseMillis: firstPauseMillis,
    }))
  }

  /** True for each place whose lane carries work now. */
  get alive(): readonly boolean[] {
    return this.#places.map(({ standing }) => standing === "up")
  }

  /** Opens all of them; resolves when each is proven or given up. @throws KvError KV_PEER_UNREACHABLE when none is. */
  async open(): Promise<void> {
    const failures: KvError[] = []
    await Promise.all(
      this.#places.map(async (_, at) => {
        try {
          await this.#make(at, "open")
        } catch (thrown) {
          failures.push(asKvError(thrown, "KV_PEER_UNREACHABLE", "a lane could not be made"))
          // Two networks that do not meet, most likely; or a link that is down, and may come back.
          this.#places[at]!.standing = "down"
          this.#places[at]!.pauseMillis = longestPauseMillis
          this.#tryLater(at)
        }
      }),
    )
    if (this.#places.some(({ standing }) => standing === "up")) return
    throw new KvError("KV_PEER_UNREACHABLE", {
      what: `none of ${this.#places.length} lanes to the peer carries anything`,
      why: failures[0]?.message ?? "no rail of this side fits one of the peer's",
      next: "check that both sides' ports are up and in one network; see `kvferry explain`",
    })
  }

  /** Ends all of them; resolves when nothing of theirs can touch memory any more. */
  async close(): Promise<void> {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    const close = (): Promise<unknown> => Promise.all(this.#places.map(({ lane }) => lane?.close()))
    await close()
    await Promise.all(this.#mending)
    await close()
  }

  /** @throws KvError KV_PEER_UNREACHABLE, KV_PEER_LOST, KV_OS, KV_LIMIT. */
  async #make(at: number, when: keyof typeof patience): Promise<void> {
    const place = this.#places[at]!
    const lane = await this.#lanes.open(place.pair.local, noRights)
    try {
      const end = await this.#exchange(at, lane.end, patience[when].answer)
      await lane.connect({ ...end, reachedHost: this.#calls.peerHost })
      if (this.#closed) throw new KvError("KV_PEER_LOST", { what: "this side closed the connection" })
      place.lane = lane
      lane.attach({ connection: this.#connection, place: at, window: this.#window, prove: true })
      if (!(await inTime(lane.proven, patience[when].proof))) {
        throw new KvError("KV_PEER_UNREACHABLE", {
          what: `rail ${place.pair.local} of this side got no answer from rail ${place.pair.remote} of the peer`,
          why: "the message that proves a lane did not come back",
        })
      }
    } catch (thrown) {
      place.lane = undefined
      await lane.close()
      throw thrown
    }
    place.standing = "up"
    place.pauseMillis = firstPauseMillis
    void lane.ended.then(({ failure }) => this.#ended(at, lane, failure))
  }

  async #exchange(at: number, end: Plain, millisMax: number): Promise<Plain> {
    const rail = this.#places[at]!.pair.remote
    const answer = await this.#calls.ask(
      (call) => ({ type: "open", call, lanes: [{ place: at, rail, end }] }),
      millisMax,
    )
    if (answer?.type === "opened" && answer.ends.length === 1) return answer.ends[0]!
    throw new KvError("KV_PEER_UNREACHABLE", {
      what: `the peer made no end for a lane on its rail ${rail}`,
      why: answer?.type === "not-opened" ? answer.why : `it gave no answer within ${millisMax} ms`,
    })
  }

  #ended(at: number, lane: Lane, failure: WorkFailure | undefined): void {
    const place = this.#places[at]!
    if (place.lane !== lane || this.#closed) return
    place.lane = undefined
    this.#lastFailure = failure ?? this.#lastFailure
    place.standing = "mending"
    this.#mend(at, lane)
  }

  #mend(at: number, old?: Lane): void {
    const place = this.#places[at]!
    const mending = (async () => {
      await old?.close()
      if (this.#closed) return
      try {
        await this.#make(at, "mend")
      } catch {
        if (this.#closed) return
        place.standing = "down"
        this.#tryLater(at)
        if (this.#places.every(({ standing }) => standing === "down"))
          this.#listener.allDown(this.#lastFailure)
      }
    })()
    this.#mending.add(mending)
    void mending.finally(() => this.#mending.delete(mending))
  }

  #tryLater(at: number): void {
    const place = this.#places[at]!
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#mend(at)
    }, place.pauseMillis)
    timer.unref()
    this.#timers.add(timer)
    place.pauseMillis = Math.min(longestPauseMillis, place.pauseMillis * 2)
  }
}

/** What it resolves with, or false when that takes too long. */
async function inTime(promise: Promise<boolean>, millis: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), millis)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
