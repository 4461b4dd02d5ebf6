import { KvError } from "../errors/kv-error.ts"
import type { Endpoint, Rights } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import type { EndpointCard, Grant, GrantDirection } from "../wire/grant.ts"
import { Caller, type Notice } from "./caller.ts"
import { MessageChannel } from "./channel.ts"
import type { Clock, ControlChannel } from "./control-network.ts"
import type { AuthenticatedPeer, Credentials } from "./credentials.ts"
import { decideGrant } from "./decide-grant.ts"
import type { Entropy } from "./entropy.ts"
import { type GreetOptions, greetAsListener } from "./greet.ts"
import type { LeaseBook } from "./lease-book.ts"
import type { LocalCache } from "./local-cache.ts"
import { vouchFor } from "./vouch.ts"

/** Callers that may be served at once. */
export const callersMax = 256
/** A side that is silent for this many hold times is taken for dead. */
const silentHolds = 3

/** Between two warnings of callers that were not let in. */
const strangerWarningMillis = 1000

/** What `regions=` in a trust file calls the one cache of an agent. */
const cacheName = "kv"

/** How long a peer may be silent before it is taken for dead. */
export const protocolSilence = (holdMillis: number): number => silentHolds * holdMillis

/** What it takes to serve callers. */
export interface CallersOptions {
  readonly card: Card
  readonly cards: readonly EndpointCard[]
  readonly credentials: Credentials
  readonly offers: Rights
  readonly endpoints: readonly Endpoint[]
  readonly clock: Clock
  readonly entropy: Entropy
  readonly cache: LocalCache
  readonly leases: LeaseBook
  readonly epochOf: (block: number) => number
  readonly times: {
    readonly holdMillis: number
    readonly handshakeMillis: number
    readonly grantMillis: number
  }
  readonly onNotice: (notice: Notice) => void
  readonly onWarning: (text: string) => void
  readonly onHandshake?: GreetOptions["onStep"]
}

/** One caller's session: what it may do now, and until when. */
interface CallerSession {
  readonly id: string
  readonly key: Uint8Array
  readonly peer: AuthenticatedPeer
  readonly channel: MessageChannel
  rights: Rights
  /** What cancels the end of each grant that it has. When one runs out the session ends: rights never shrink in it. */
  readonly expiries: Map<GrantDirection, () => void>
  over: Promise<void> | undefined
  /** Why it may still write, after all. */
  stuck: KvError | undefined
}

/** The peers that called us, from their first byte to their last. */
export class Callers implements AsyncDisposable {
  readonly #options: CallersOptions
  readonly #channels = new Set<MessageChannel>()
  readonly #sessions = new Map<string, CallerSession>()
  #closed = false
  #quietUntil = Number.NEGATIVE_INFINITY
  #untold = 0

  constructor(options: CallersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#channels.size
  }

  /** Serves one caller, whoever it turns out to be. */
  async serve(raw: ControlChannel): Promise<void> {
    const channel = new MessageChannel(raw)
    if (this.#closed || this.#channels.size >= callersMax) {
      return channel.close(new KvError("KV_LIMIT", { what: `this agent serves ${callersMax} peers already` }))
    }
    this.#channels.add(channel)
    const { card, credentials, clock, entropy, times, onHandshake } = this.#options
    try {
      const greeted = await greetAsListener(channel, {
        card,
        credentials,
        clock,
        timeoutMillis: times.handshakeMillis,
        random: (bytes) => entropy.bytes(bytes),
        ...(onHandshake === undefined ? {} : { onStep: onHandshake }),
        // A session has no rights before it has asked for a grant.
        admit: () => Promise.resolve(),
      })
      const session: CallerSession = {
        ...greeted.session,
        peer: greeted.peer,
        channel,
        rights: { read: false, write: false },
        expiries: new Map(),
        over: undefined,
        stuck: undefined,
      }
      this.#sessions.set(session.id, session)
      new Caller({
        ...this.#options,
        card: greeted.card,
        name: greeted.peer.name,
        session: session.id,
        channel,
        holdMillis: times.holdMillis,
        silenceMillis: protocolSilence(times.holdMillis),
        grant: (direction) => this.#grant(session, direction),
        onGone: () => {
          this.#channels.delete(channel)
          void this.#end(session)
        },
      })
    } catch (thrown) {
      this.#channels.delete(channel)
      if (!(thrown instanceof KvError)) throw thrown
      if (thrown.code === "KV_PEER_UNTRUSTED") this.#warnOfStranger(thrown)
      // The handshake has told the caller why, but for a mistake of ours: nobody is left waiting for it either.
      channel.close()
    }
  }

  /** Ends a session so that it cannot touch memory any more; says whether that is so now. */
  async fence(sessionId: string): Promise<boolean> {
    const session = this.#sessions.get(sessionId)
    if (session === undefined) return true
    session.channel.close(new KvError("KV_LEASE_UNKNOWN", { what: "a lease for writing was taken back" }))
    await this.#end(session)
    return session.stuck === undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    for (const channel of [...this.#channels]) channel.close()
    await Promise.all([...this.#sessions.values()].map((session) => this.#end(session)))
  }

  /** Decides on a grant, lets the session in for it, and sets its end. @throws KvError KV_PEER_UNTRUSTED. */
  async #grant(session: CallerSession, direction: GrantDirection): Promise<Grant> {
    const { card, cards, endpoints, offers, clock, times } = this.#options
    const wallMillis = clock.wallMillis()
    const { channel } = session
    const regions = cards[0]?.regions ?? []
    const decided = decideGrant({
      peer: this.#vouchAgain(session, wallMillis),
      direction,
      policy: { rights: offers, lifetimeMillis: times.grantMillis },
      // The last region holds the stamps: they are there to be read.
      offered: regions.map(({ region }, at) => ({
        region,
        cache: cacheName,
        access: at < regions.length - 1 ? offers : { read: true, write: false },
      })),
      wallMillis,
    })
    session.rights = { ...session.rights, [direction]: true }
    await Promise.all(
      endpoints.map((endpoint) => endpoint.admit({ id: session.id, key: session.key }, session.rights)),
    )
    if (session.over !== undefined) {
      // It left while it was let in: what came late is taken back.
      await Promise.all(endpoints.map((endpoint) => endpoint.dismiss(session.id)))
      throw new KvError("KV_PEER_LOST", { what: "the caller left before its grant was made" })
    }
    session.expiries.get(direction)?.()
    const cancel = clock.after(decided.expiresMillis, () => {
      const next = "connect again to ask for another"
      channel.close(new KvError("KV_PEER_UNTRUSTED", { what: `the grant to ${direction} has expired`, next }))
    })
    session.expiries.set(direction, cancel)
    const granted = new Set(decided.regions)
    const described = cards.map((fabric) => ({
      ...fabric,
      regions: fabric.regions.filter(({ region }) => granted.has(region)),
    }))
    return { version: 1, bootId: card.bootId, ...decided, endpoints: described }
  }

  /** Looks the caller's key up anew. One that was withdrawn since ends its session; only our own people hear why. */
  #vouchAgain({ peer, channel }: CallerSession, wallMillis: number): AuthenticatedPeer {
    const { credentials, onWarning } = this.#options
    try {
      return vouchFor(credentials, peer.publicKey, channel.peer, wallMillis)
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      onWarning(`a session was ended: ${thrown.message}`)
      const told = new KvError("KV_PEER_UNTRUSTED", {
        what: "this agent does not trust the other one any more",
      })
      channel.close(thrown, told)
      throw told
    }
  }

  /** Tells who was not let in, and why: once in a while, for strangers may come in crowds. */
  #warnOfStranger(error: KvError): void {
    const now = this.#options.clock.now()
    if (now < this.#quietUntil) {
      this.#untold += 1
      return
    }
    const more = this.#untold === 0 ? "" : ` (and ${this.#untold} more callers since the last such warning)`
    this.#quietUntil = now + strangerWarningMillis
    this.#untold = 0
    this.#options.onWarning(`a caller was not let in: ${error.message}${more}`)
  }

  /** A dead reader's blocks come back; its streams are closed first, so that it touches nothing of the next owner. */
  #end(session: CallerSession): Promise<void> {
    for (const cancel of session.expiries.values()) cancel()
    session.over ??= this.#dismiss(session)
    return session.over
  }

  async #dismiss(session: CallerSession): Promise<void> {
    const { endpoints, leases, onWarning } = this.#options
    const dismissed = await Promise.allSettled(endpoints.map((endpoint) => endpoint.dismiss(session.id)))
    const failed = dismissed.find((result) => result.status === "rejected")
    this.#sessions.delete(session.id)
    // One that may still write keeps what it was to fill: those blocks are not safe to use before it is gone.
    leases.loseAllOf(session.id, failed === undefined ? "all" : "reads")
    if (failed === undefined) return
    if (!(failed.reason instanceof KvError)) throw failed.reason
    session.stuck = failed.reason
    onWarning(failed.reason.message)
  }
}
