import { asKvError, KvError } from "../../errors/kv-error.ts"
import type { Rights } from "../transport.ts"
import type { Lane, Lanes } from "./lanes.ts"
import type { RegionBook } from "./region-book.ts"
import { SideCalls } from "./side-calls.ts"
import type { SideChannel } from "./side-channel.ts"
import { type AskedLane, regionsMax, type SideMessage } from "./side-messages.ts"

/** How long a caller may take to let go of a region. */
const withdrawMillisMax = 1000

/** What a served connection needs of its endpoint. */
export interface ServingOwner {
  readonly lanes: Lanes
  readonly book: RegionBook
  readonly rails: number
  /** The window of a lane on which only answers are sent. */
  readonly window: { readonly depth: number; readonly bytesMax: number }
  readonly served: Set<ServedConnection>
}

/** The side that admits: its NICs serve the caller's requests without us. We make its lanes, and answer its questions. */
export class ServedConnection {
  readonly session: string
  readonly #owner: ServingOwner
  readonly #channel: SideChannel
  readonly #rights: Rights
  readonly #connection: number
  readonly #calls: SideCalls
  /** The caller's lanes by their places. */
  readonly #lanes = new Map<number, Lane>()
  readonly #opening = new Set<Promise<void>>()
  #ended: Promise<void> | undefined

  constructor(
    owner: ServingOwner,
    channel: SideChannel,
    session: string,
    rights: Rights,
    connection: number,
  ) {
    this.session = session
    this.#owner = owner
    this.#channel = channel
    this.#rights = rights
    this.#connection = connection
    this.#calls = new SideCalls(channel, (message) => this.#hear(message))
    void channel.ended.then(() => this.end("the caller ended the connection"))
  }

  /** Tells the caller what is open to it. Only where the fabric does not say what it refuses. */
  announce(region?: number): void {
    const { book } = this.#owner
    const open = region === undefined ? book.openTo(this.#rights) : [book.openRegion(region, this.#rights)]
    for (let at = 0; at < open.length; at += regionsMax) {
      const regions = open.slice(at, at + regionsMax)
      this.#channel.send({ type: "regions", regions } satisfies SideMessage)
    }
  }

  /** Has the caller let go of a region; one that does not answer in time loses its connection. */
  async withdraw(region: number): Promise<void> {
    const answer = await this.#calls.ask((call) => ({ type: "closing", call, region }), withdrawMillisMax)
    if (answer?.type !== "left") await this.end("the caller did not let go of a region that was closed")
  }

  /** Closes its lanes; resolves when the caller's requests can touch nothing of ours any more. */
  end(reason: string): Promise<void> {
    this.#ended ??= this.#end(reason)
    return this.#ended
  }

  async #end(reason: string): Promise<void> {
    await Promise.all(this.#opening)
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close()))
    this.#channel.close(reason)
    this.#owner.served.delete(this)
  }

  #hear(message: SideMessage): void {
    if (message.type === "open") this.#openInOrder(message.call, message.lanes)
    else if (message.type === "why") {
      const because = this.#owner.book.why(message, this.#rights)
      this.#channel.send({ type: "because", call: message.call, ...because } satisfies SideMessage)
    } else throw new KvError("KV_WIRE_INVALID", { what: `a caller sent "${message.type}"` })
  }

  #openInOrder(call: number, asked: readonly AskedLane[]): void {
    const opening = this.#open(call, asked)
    this.#opening.add(opening)
    void opening.finally(() => this.#opening.delete(opening))
  }

  async #open(call: number, asked: readonly AskedLane[]): Promise<void> {
    try {
      const lanes = await Promise.all(asked.map((lane) => this.#openOne(lane)))
      this.#channel.send({ type: "opened", call, ends: lanes.map(({ end }) => end) } satisfies SideMessage)
    } catch (thrown) {
      const why = asKvError(thrown, "KV_INTERNAL", "a lane could not be made").message.slice(0, 1000)
      this.#channel.send({ type: "not-opened", call, why } satisfies SideMessage)
    }
  }

  async #openOne({ place, rail, end }: AskedLane): Promise<Lane> {
    if (this.#ended !== undefined) throw new KvError("KV_PEER_LOST", { what: "the session was ended" })
    if (rail >= this.#owner.rails)
      throw new KvError("KV_PEER_REFUSED", { what: `there is no rail ${rail} on this side` })
    const before = this.#lanes.get(place)
    this.#lanes.delete(place)
    await before?.close()
    const lane = await this.#owner.lanes.open(rail, this.#rights)
    try {
      await lane.connect({ ...end, reachedHost: this.#channel.peerHost })
      lane.attach({ connection: this.#connection, place, window: this.#owner.window, prove: false })
      await lane.attached
    } catch (thrown) {
      await lane.close()
      throw thrown
    }
    // Two requests for one place at once: the later one stays.
    await this.#lanes.get(place)?.close()
    this.#lanes.set(place, lane)
    return lane
  }
}
