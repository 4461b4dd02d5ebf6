import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import type { Crew } from "../../movers/crew.ts"
import { closeFile } from "../../os/local-sockets.ts"
import type {
  Connection,
  Deadline,
  Move,
  Moved,
  MoveRequest,
  PreparedMove,
  RegionDescriptor,
  Rights,
} from "../transport.ts"
import type { Borrowed } from "./borrower-socket.ts"
import type { Frame } from "./frames.ts"
import type { LocalSocket } from "./local-socket.ts"
import { RemoteRegions, rejected } from "./remote-regions.ts"
import type { BorrowedPage } from "./session-page.ts"
import { type LocalRegions, type MoveHost, ShmMove } from "./shm-move.ts"

/** How long `attach` waits for a region that was not named when the connection was made. */
const attachMillis = 10_000

/** What a connection needs of its endpoint. */
export interface ConnectionOwner {
  readonly crew: Crew
  readonly local: LocalRegions
  connectionGone(connection: ShmConnection): void
}

/** Mappings of one peer's regions, the page on which it says what still counts, and the socket that shows its death. */
export class ShmConnection implements Connection, MoveHost {
  readonly transport = "shm"
  readonly session: string
  readonly lost: Promise<Error>
  readonly crew: Crew
  readonly local: LocalRegions
  readonly remote: RemoteRegions
  readonly moves = new Set<ShmMove>()
  readonly #owner: ConnectionOwner
  readonly #socket: LocalSocket
  readonly #filesFd: number
  readonly #page: BorrowedPage
  readonly #rights: Rights
  #failure: KvError | undefined
  #closing: Promise<void> | undefined
  #lose!: (error: Error) => void

  constructor(owner: ConnectionOwner, session: string, { socket, filesFd, page }: Borrowed) {
    this.#owner = owner
    this.session = session
    this.crew = owner.crew
    this.local = owner.local
    this.#socket = socket
    this.#filesFd = filesFd
    this.#page = page
    this.#rights = page.rights
    this.remote = new RemoteRegions(socket, filesFd, page)
    this.lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    socket.listener = {
      frame: (frame) => this.#hear(frame),
      closed: (why) => this.#fail(lostPeer(socket, why)),
    }
  }

  /** Maps regions before they are used. @throws KvError as `attach` does. */
  async map(regions: readonly RegionDescriptor[], deadline: Deadline): Promise<void> {
    try {
      await this.remote.want(regions, deadline)
    } catch (thrown) {
      throw this.#failure ?? thrown
    }
  }

  prepare(request: MoveRequest): PreparedMove {
    const ended = this.ended()
    if (ended !== undefined) throw ended
    if (!this.#rights[request.direction]) {
      throw new KvError("KV_PEER_UNTRUSTED", { what: `the peer did not grant a ${request.direction}` })
    }
    return new ShmMove(this, request)
  }

  async move(move: Move): Promise<Moved> {
    await using prepared = this.prepare(move)
    return await prepared.post(move)
  }

  /**
   * The peer's pages themselves, mapped read-only: a write to a view of them ends this process with SIGSEGV.
   *
   * They show zeros once the peer has closed the region or ended the session, and when this connection is closed. When
   * the peer dies they stay as it left them until this connection is closed.
   */
  async attach(regions: readonly RegionDescriptor[]): Promise<ReadonlyMap<number, MemorySpan>> {
    const ended = this.ended()
    if (ended !== undefined) throw ended
    if (!this.#rights.read) throw new KvError("KV_PEER_UNTRUSTED", { what: "the peer did not grant a read" })
    await this.map(regions, performance.now() + attachMillis)
    const spans = new Map<number, MemorySpan>()
    for (const descriptor of regions) {
      const mapping = this.remote.find(descriptor)?.read
      if (mapping === undefined)
        throw rejected(descriptor.region, "the peer closed it, or does not let it be read")
      if (mapping.byteLength < descriptor.length) {
        throw new KvError("KV_REGION_BOUNDS", {
          what: `region ${descriptor.region} has ${mapping.byteLength} bytes, its descriptor says ${descriptor.length}`,
          next: "fetch the peer's card again: it may have restarted",
        })
      }
      spans.set(descriptor.region, mapping)
    }
    return spans
  }

  ended(): KvError | undefined {
    if (this.#failure === undefined && !this.#page.alive) {
      this.#fail(lostPeer(this.#socket, "it ended the session"))
    }
    return this.#failure
  }

  closings(): number {
    return this.#page.closings
  }

  /** Ends what uses one of our own regions. Resolves when none of it touches the region any more. */
  async forget(span: MemorySpan, error: KvError): Promise<void> {
    await Promise.all([...this.moves].filter((move) => move.uses(span)).map((move) => move.retire(error)))
  }

  /** Ends the connection from this side, with a reason. */
  async end(why: string): Promise<void> {
    this.#fail(new KvError("KV_PEER_LOST", { what: "the shm connection is gone", why }))
    await this.#close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("this side closed the connection")
  }

  #hear(frame: Frame): void {
    if (frame.kind === "handed" && this.remote.hear(frame.answers)) return
    if (frame.kind === "closed") void this.#giveBack(frame.slot)
    else if (frame.kind === "ended") {
      this.#fail(lostPeer(this.#socket, "it ended the session"))
      // Hanging up is what tells it that nothing of its memory is mapped here any more.
      void this.#close()
    } else this.#socket.close(`a frame "${frame.kind}" came where it has no place`)
  }

  /** The peer closed a region: what uses it ends, it is unmapped, and only then the peer is told so. */
  async #giveBack(slot: number): Promise<void> {
    const region = await this.remote.settledInSlot(slot)
    if (region !== undefined) {
      const error = rejected(region.region, "the peer closed it")
      await Promise.all([...this.moves].filter((move) => move.uses(region)).map((move) => move.retire(error)))
      this.remote.drop(region)
    }
    this.#socket.send({ kind: "returned", slot })
  }

  /** Nothing can be moved any more. What is mapped stays so until `#close`: readers in place do not see it vanish. */
  #fail(error: KvError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.remote.fail(error)
    for (const move of this.moves) void move.retire(error)
    this.#lose(error)
  }

  #close(): Promise<void> {
    this.#closing ??= this.#release()
    return this.#closing
  }

  async #release(): Promise<void> {
    await Promise.all([...this.moves].map((move) => move.retire(this.#failure!)))
    await this.remote.dropAll()
    this.#page[Symbol.dispose]()
    closeFile(this.#filesFd)
    this.#socket.close("this side closed the connection")
    await this.#socket.gone
    this.#owner.connectionGone(this)
  }
}

const lostPeer = (socket: LocalSocket, why: string): KvError =>
  new KvError("KV_PEER_LOST", {
    what: `the shm connection to ${socket.peerName} is gone`,
    why,
    next: "connect again; the peer may have restarted",
  })
