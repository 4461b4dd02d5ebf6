import { KvError } from "../errors/kv-error.ts"
import type { Connection, Endpoint, Session } from "../transport/transport.ts"
import type { Card } from "../wire/card.ts"
import { protocolSilence } from "./callers.ts"
import { Calls } from "./calls.ts"
import { MessageChannel } from "./channel.ts"
import { checkGrant } from "./check-grant.ts"
import { type ChosenPath, choosePath } from "./choose-path.ts"
import type { Clock, ControlNetwork } from "./control-network.ts"
import type { Credentials } from "./credentials.ts"
import type { Entropy } from "./entropy.ts"
import { type GreetOptions, greetAsCaller } from "./greet.ts"
import { Peer } from "./peer.ts"
import { parsePeerAddress } from "./peer-address.ts"
import { isPathFailure, openPolicy, type PathPolicy, type RefusedPath } from "./rank-paths.ts"
import { untilOver } from "./until-over.ts"

/** Peers that may be called at once. */
export const peersMax = 256

/** What it takes to call peers. */
export interface PeersOptions {
  readonly card: Card
  readonly credentials: Credentials
  readonly endpoints: readonly Endpoint[]
  readonly policy?: PathPolicy
  readonly network: ControlNetwork
  readonly clock: Clock
  readonly entropy: Entropy
  readonly times: { readonly holdMillis: number; readonly handshakeMillis: number }
  readonly onHandshake?: GreetOptions["onStep"]
}

/** The peers that this side called, by their addresses. One that is lost is forgotten, and called anew when asked for. */
export class Peers implements AsyncDisposable {
  readonly #options: PeersOptions
  readonly #peers = new Map<string, Promise<Peer>>()
  /** Channels on which a peer is being greeted. */
  readonly #greeting = new Set<MessageChannel>()
  #closed = false

  constructor(options: PeersOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#peers.size
  }

  /**
   * The peer at an address. Callers that come while it is being reached share the attempt, each with its own patience.
   * @throws KvError KV_LIMIT, and as `Agent.connect`.
   */
  connect(address: string, timeoutMillis: number): Promise<Peer> {
    const known = this.#peers.get(address)
    if (known !== undefined) return this.#within(known, address, timeoutMillis)
    if (this.#peers.size >= peersMax) {
      const text = {
        what: `${peersMax} peers are connected already`,
        next: "close some, or start another worker",
      }
      return Promise.reject(new KvError("KV_LIMIT", text))
    }
    const { handshakeMillis } = this.#options.times
    const attemptMillis = Math.max(timeoutMillis, handshakeMillis)
    const connecting = this.#connect(address, attemptMillis, () => this.#forget(address, connecting))
    this.#peers.set(address, connecting)
    connecting.catch(() => this.#forget(address, connecting))
    return this.#within(connecting, address, timeoutMillis)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    for (const channel of this.#greeting) channel.close(closedHere())
    const peers = await Promise.allSettled(this.#peers.values())
    await Promise.all(
      peers.map(async (peer) => {
        if (peer.status === "fulfilled") await peer.value[Symbol.asyncDispose]()
      }),
    )
  }

  /** Waits for an attempt, but no longer than this caller will. */
  #within(connecting: Promise<Peer>, address: string, timeoutMillis: number): Promise<Peer> {
    const { clock } = this.#options
    const waiter = { deadline: clock.now() + timeoutMillis }
    return untilOver(connecting, waiter, clock, `connecting to ${address}`, {
      what: `${address} was not connected within ${Math.round(timeoutMillis)} ms`,
      next: "check that the worker runs and is not overloaded; the attempt goes on for the next request",
    })
  }

  #forget(address: string, peer: Promise<Peer>): void {
    if (this.#peers.get(address) === peer) this.#peers.delete(address)
  }

  async #connect(address: string, timeoutMillis: number, onLost: () => void): Promise<Peer> {
    const { host, port } = parsePeerAddress(address)
    const { card, credentials, clock, entropy, network, times, onHandshake } = this.#options
    const deadline = clock.now() + timeoutMillis
    const channel = new MessageChannel(await network.connect(host, port, timeoutMillis))
    this.#greeting.add(channel)
    try {
      if (this.#closed) throw closedHere()
      const greeted = await greetAsCaller(channel, {
        card,
        credentials,
        clock,
        timeoutMillis: Math.max(1, deadline - clock.now()),
        random: (bytes) => entropy.bytes(bytes),
        ...(onHandshake === undefined ? {} : { onStep: onHandshake }),
      })
      const calls = new Calls(channel, clock, greeted.card.agentId)
      channel.listen(
        ({ message, attachment }) => {
          const fatal = calls.take(message, attachment)
          if (fatal !== undefined) channel.close(fatal)
        },
        (error) => calls.end(error),
      )
      const { message } = await calls.ask(
        (call) => ({ type: "ask-grant", call, direction: "read" }),
        "grant",
        { deadline },
      )
      const { grant } = message
      checkGrant(greeted.card, "read", grant)
      const offered = { agentId: greeted.card.agentId, endpoints: grant.endpoints }
      const { path, connection } = await this.#reach(offered, greeted.session, channel.peerHost, deadline)
      const holdMillis = times.holdMillis
      return new Peer({
        card: greeted.card,
        grant,
        channel,
        calls,
        path,
        connection,
        reconnect: (until) =>
          path.endpoint.connect(greeted.session, path.remote.address, {
            deadline: until,
            peerHost: channel.peerHost,
            regions: path.remote.regions,
          }),
        clock,
        pulseMillis: holdMillis / 3,
        silenceMillis: protocolSilence(holdMillis),
        onLost,
      })
    } catch (thrown) {
      channel.close()
      throw thrown
    } finally {
      this.#greeting.delete(channel)
    }
  }

  /** Connects over the best path that lets us; a path that looked good and failed is named in the reason. */
  async #reach(
    offered: Parameters<typeof choosePath>[1],
    session: Session,
    peerHost: string,
    deadline: number,
  ): Promise<{ readonly path: ChosenPath; readonly connection: Connection }> {
    const { endpoints } = this.#options
    const policy = this.#options.policy ?? openPolicy(endpoints)
    const failed: RefusedPath[] = []
    for (;;) {
      const path = choosePath(endpoints, offered, { ...policy, failed })
      const { remote, endpoint } = path
      try {
        const options = { deadline, peerHost, regions: remote.regions }
        return { path, connection: await endpoint.connect(session, remote.address, options) }
      } catch (thrown) {
        if (!(thrown instanceof KvError) || !isPathFailure(thrown.code)) throw thrown
        failed.push({ transport: endpoint.transport, error: thrown })
      }
    }
  }
}

const closedHere = (): KvError => new KvError("KV_CANCELLED", { what: "this agent was closed" })
