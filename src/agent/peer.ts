import { KvError } from "../errors/kv-error.ts"
import { blocksFor } from "../kv/kv-layout.ts"
import type { IntegrityLevel } from "../receipt/receipt.ts"
import type { Connection, RegionDescriptor } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import type { ControlMessageOf } from "../wire/control-messages.ts"
import type { Grant, GrantDirection } from "../wire/grant.ts"
import type { CallOptions, Calls } from "./calls.ts"
import type { MessageChannel } from "./channel.ts"
import { checkLease, checkNote } from "./check-call.ts"
import { checkGrant } from "./check-grant.ts"
import type { ChosenPath } from "./choose-path.ts"
import type { Clock } from "./control-network.ts"
import { type GrantedLease, HeldLease } from "./held-lease.ts"
import type { SourcePeer } from "./source-peer.ts"
import { untilOver } from "./until-over.ts"

/** What a connected peer is made of. */
export interface PeerParts {
  readonly card: Card
  readonly grant: Grant
  readonly channel: MessageChannel
  readonly calls: Calls
  readonly path: ChosenPath
  readonly connection: Connection
  /** Connects once more, with the rights that the session has by then. */
  readonly reconnect: (deadline: number) => Promise<Connection>
  readonly clock: Clock
  /** Time between two signs of life. */
  readonly pulseMillis: number
  /** A peer that has not answered for that long is taken for lost. */
  readonly silenceMillis: number
  readonly onLost: () => void
}

/** Leases that one sign of life can name. */
const renewalsMax = 4096
/** Signs of life are never given more often than that, whatever the owner of a lease says. */
const pulseMillisMin = 20

/** A peer that we called: its card, its grant, the channel to it, and the connection that moves bytes. */
export class Peer implements SourcePeer, AsyncDisposable {
  readonly card: Card
  readonly path: ChosenPath
  readonly connection: Connection
  readonly #parts: PeerParts
  readonly #calls: Calls
  readonly #held = new Map<string, HeldLease>()
  readonly #filling = new Set<string>()
  readonly #grants = new Map<GrantDirection, { readonly grant: Grant; readonly at: number }>()
  #writer: Promise<Connection> | undefined
  #cancelPulse: () => void = () => {}
  #pulseMillis: number
  #pulsing = false
  #lost: KvError | undefined

  /** @internal */
  constructor(parts: PeerParts) {
    const { channel, path, connection } = parts
    this.card = parts.card
    this.path = path
    this.connection = connection
    this.#parts = parts
    this.#calls = parts.calls
    this.#pulseMillis = parts.pulseMillis
    this.#take("read", parts.grant)
    channel.listen(
      ({ message, attachment }) => {
        const fatal = this.#calls.take(message, attachment)
        if (fatal !== undefined) this.close(fatal)
      },
      (error) => this.#end(error),
    )
    this.#watch(connection)
    this.#wait()
  }

  /** Why the peer is gone; undefined while it is there. */
  get lost(): KvError | undefined {
    return this.#lost
  }

  /** The peer's regions of the layers, in their order. */
  get layers(): readonly RegionDescriptor[] {
    return this.path.remote.regions.filter(({ region }) => region !== this.card.epochs?.region)
  }

  /** The peer's region of stamps. @throws KvError KV_PEER_REFUSED when it has none. */
  get epochs(): RegionDescriptor {
    const region = this.path.remote.regions.find(({ region }) => region === this.card.epochs?.region)
    if (region !== undefined) return region
    throw new KvError("KV_PEER_REFUSED", {
      what: `${this.card.agentId} offers no stamps of its blocks`,
      next: 'use integrity "none", or mend the peer',
    })
  }

  /** Claims a lease and keeps it alive. @throws KvError KV_LEASE_UNKNOWN, KV_PEER_LOST, KV_DEADLINE, KV_CANCELLED. */
  async claim(lease: string, options: CallOptions): Promise<HeldLease> {
    checkLease(lease)
    const askedAt = this.#parts.clock.now()
    const { message } = await this.#calls.ask((call) => ({ type: "claim", call, lease }), "granted", options)
    this.#checkGranted(message)
    const granted: GrantedLease = {
      id: lease,
      access: message.access,
      tokens: message.tokens,
      blocks: Uint32Array.from(message.blocks),
      epochs: Uint32Array.from(message.epochs),
      holdMillis: message.holdMillis,
    }
    // Claimed by two at once: there is one lease, and it ends for both.
    const known = this.#held.get(lease)
    known?.renewed(askedAt)
    const held = known ?? new HeldLease(this, granted, askedAt, () => this.#parts.clock.now())
    if (this.#lost === undefined) this.#held.set(lease, held)
    this.#keepUp(message.holdMillis)
    return held
  }

  /** The hashes that the owner made of a lent sequence. @throws KvError as `claim`. */
  async seals(lease: string, options: CallOptions): Promise<BigUint64Array> {
    const { attachment } = await this.#calls.ask(
      (call) => ({ type: "seals", call, lease }),
      "sealed",
      options,
    )
    return new BigUint64Array(attachment.buffer, attachment.byteOffset, attachment.byteLength >> 3)
  }

  /** Gives a lease back. Rejects with KV_LEASE_UNKNOWN when it was not in force any more. */
  async release(lease: string, options: CallOptions & { readonly note?: string }): Promise<void> {
    checkLease(lease)
    checkNote(options.note)
    this.#drop(lease)
    const note = options.note === undefined ? {} : { note: options.note }
    await this.#calls.ask((call) => ({ type: "release", call, lease, ...note }), "released", options)
  }

  /** Gives no more signs of life for a lease: it ends by itself, at its owner. */
  abandon(lease: string): void {
    this.#held.delete(lease)
  }

  /**
   * Takes a write lease for one transfer; returns what ends that.
   * @throws KvError KV_USAGE while another transfer of this side fills the same blocks.
   */
  beginFilling(lease: string): () => void {
    if (this.#filling.has(lease)) {
      throw new KvError("KV_USAGE", {
        what: `lease ${lease.slice(0, 8)}… is being filled by another transfer of this side`,
        next: "wait for that one's end",
      })
    }
    this.#filling.add(lease)
    return () => void this.#filling.delete(lease)
  }

  /** Says that the blocks of a write lease are filled. Returns how many hashes the owner compared. */
  async landed(
    lease: string,
    filled: {
      readonly tokens: number
      readonly level: IntegrityLevel
      readonly hashes: BigUint64Array
      readonly note?: string
    },
    options: CallOptions,
  ): Promise<number> {
    checkNote(filled.note)
    const { tokens, level, hashes } = filled
    const note = filled.note === undefined ? {} : { note: filled.note }
    const attachment = new Uint8Array(hashes.buffer, hashes.byteOffset, hashes.byteLength)
    // Kept alive until the answer: the owner may take its time to hash what has landed.
    const { message } = await this.#calls.ask(
      (call) => ({ type: "landed", call, lease, tokens, level, ...note }),
      "proven",
      { ...options, attachment },
    )
    this.#drop(lease)
    return message.checked
  }

  /**
   * Sends a text, and bytes if there are any. It arrives in order with this peer's other messages, or not at all.
   * @throws KvError KV_LIMIT for more than 4,096 characters or 64 MiB; why the peer is gone.
   */
  notify(text: string, attachment?: Uint8Array): void {
    checkNote(text)
    if (this.#lost !== undefined) throw this.#lost
    this.#parts.channel.send({ type: "notify", text }, attachment)
  }

  /**
   * A connection that may write, made at first use: the one for reading was granted no more than that.
   * @throws KvError KV_PEER_UNTRUSTED when the peer does not grant it; as `claim`.
   */
  async writer(options: CallOptions): Promise<Connection> {
    const { clock, silenceMillis } = this.#parts
    // Everybody's attempt, so nobody's deadline and nobody's cancel: whoever comes waits as long as it wants to.
    this.#writer ??= this.#connectWriter(clock.now() + silenceMillis)
    const writer = this.#writer
    writer.catch(() => {
      if (this.#writer === writer) this.#writer = undefined
    })
    return await untilOver(writer, options, clock, `the connection to write to ${this.card.agentId}`)
  }

  /** Ends the relation; the peer's calls fail, and its connection is closed. */
  close(error?: KvError): void {
    this.#parts.channel.close(error)
    this.#end(error ?? new KvError("KV_PEER_LOST", { what: `this side left ${this.card.agentId}` }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.#leave()
  }

  async #connectWriter(deadline: number): Promise<Connection> {
    const { message } = await this.#calls.ask(
      (call) => ({ type: "ask-grant", call, direction: "write" }),
      "grant",
      { deadline },
    )
    this.#take("write", message.grant)
    const connection = await this.#parts.reconnect(deadline)
    if (this.#lost !== undefined) {
      await connection[Symbol.asyncDispose]()
      throw this.#lost
    }
    this.#watch(connection)
    return connection
  }

  /** The peer is lost with any of its connections. */
  #watch(connection: Connection): void {
    connection.lost.then((error) => {
      const what = `the ${connection.transport} connection to ${this.card.agentId} is gone`
      this.close(new KvError("KV_PEER_LOST", { what, why: error.message }))
    })
  }

  #take(direction: GrantDirection, grant: Grant): void {
    checkGrant(this.card, direction, grant)
    this.#grants.set(direction, { grant, at: this.#parts.clock.now() })
  }

  /** An owner that wants to hear of us more often than we were told to speak is obeyed, within reason. */
  #keepUp(holdMillis: number): void {
    const millis = Math.max(pulseMillisMin, holdMillis / 3)
    if (millis >= this.#pulseMillis) return
    this.#pulseMillis = millis
    if (this.#pulsing) return
    this.#cancelPulse()
    this.#wait()
  }

  #wait(): void {
    if (this.#lost !== undefined) return
    this.#cancelPulse = this.#parts.clock.after(this.#pulseMillis, () => {
      this.#pulsing = true
      this.#pulse().then(
        () => {
          this.#pulsing = false
          this.#wait()
        },
        (thrown: unknown) => {
          if (!(thrown instanceof KvError)) throw thrown
          this.close(this.#silent(thrown))
        },
      )
    })
  }

  /** One sign of life: it keeps our leases, shows that the peer lives, and renews the grant in its second half. */
  async #pulse(): Promise<void> {
    const { clock, silenceMillis } = this.#parts
    const deadline = clock.now() + silenceMillis
    const held = [...this.#held.keys()]
    for (let from = 0; from === 0 || from < held.length; from += renewalsMax) {
      const leases = held.slice(from, from + renewalsMax)
      const sentAt = clock.now()
      const { message } = await this.#calls.ask((call) => ({ type: "renew", call, leases }), "renewed", {
        deadline,
      })
      const ended = new Set(message.ended)
      for (const id of leases) {
        if (!ended.has(id)) this.#held.get(id)?.renewed(sentAt)
        else this.#forget(id)
      }
    }
    for (const [direction, { grant, at }] of this.#grants) {
      if (clock.now() < at + grant.expiresMillis / 2) continue
      const answer = await this.#calls.ask((call) => ({ type: "ask-grant", call, direction }), "grant", {
        deadline: clock.now() + silenceMillis,
      })
      this.#take(direction, answer.message.grant)
    }
  }

  /** The lease is over by our own doing: whoever still has it in hand must not trust it any more. */
  #drop(lease: string): void {
    this.#held
      .get(lease)
      ?.end(
        new KvError("KV_LEASE_UNKNOWN", { what: `lease ${lease.slice(0, 8)}… was given back by this side` }),
      )
    this.#held.delete(lease)
  }

  /** What a grant of blocks says must fit the card: it is believed from then on. */
  #checkGranted({ tokens, blocks, epochs }: ControlMessageOf<"granted">): void {
    const { blockTokens, blocks: pool } = this.card.layout
    const sound =
      blocks.length === epochs.length &&
      blocks.length === blocksFor(tokens, blockTokens) &&
      blocks.every((block) => block < pool)
    if (sound) return
    throw new KvError("KV_PEER_REFUSED", {
      what: `${this.card.agentId} granted ${blocks.length} blocks for ${tokens} tokens`,
      why: `its card says ${pool} blocks of ${blockTokens} tokens, and these are not among them`,
      next: "report this: that peer contradicts itself",
    })
  }

  #forget(lease: string): void {
    const error = new KvError("KV_LEASE_UNKNOWN", {
      what: `lease ${lease.slice(0, 8)}… is over`,
      why: `${this.card.agentId} has taken it back`,
      next: "send the request again: its prompt must be computed anew",
    })
    this.#held.get(lease)?.end(error)
    this.#held.delete(lease)
  }

  #silent(error: KvError): KvError {
    if (error.code !== "KV_DEADLINE") return error
    return new KvError("KV_PEER_LOST", {
      what: `${this.card.agentId} has given no sign of life for ${this.#parts.silenceMillis} ms`,
      why: "it is stopped or overloaded, or the way to it is cut",
      next: "check that process and the network; a new connection is made at the next request",
    })
  }

  #end(error: KvError): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    this.#cancelPulse()
    this.#calls.end(error)
    for (const held of this.#held.values()) held.end(error)
    this.#held.clear()
    void this.#leave()
    this.#parts.onLost()
  }

  /** Resolves when nothing of this side uses a connection to the peer any more. */
  async #leave(): Promise<void> {
    const writer = await this.#writer?.catch(() => undefined)
    await Promise.all([this.connection, writer].map((connection) => connection?.[Symbol.asyncDispose]()))
  }
}
