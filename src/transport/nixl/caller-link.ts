import { randomBytes } from "node:crypto"
import type { ControlChannel } from "../../agent/control-network.ts"
import { asKvError, KvError, type KvErrorRecord } from "../../errors/kv-error.ts"
import { sharedMillis } from "../../os/clock.ts"
import { tcpControlNetwork } from "../../os/control-net.ts"
import type { NixlAgent } from "../../os/nixl/nixl-agent.ts"
import { sameProof, sessionProof } from "../session-proof.ts"
import { type MoveHost, OutboundMove } from "./outbound-move.ts"
import type { PreparedLists } from "./prepared-lists.ts"
import type { PumpState } from "./pump.ts"
import type { RemoteAgent, RemoteAgents } from "./remote-agents.ts"
import { SideChannel } from "./side-channel.ts"
import {
  type CallerMessage,
  type Greeting,
  type ListenerMessage,
  nonceBytes,
  type Place,
  readGreeting,
  readListenerMessage,
  readWelcome,
  sideVersion,
} from "./side-messages.ts"
import type { ConnectCommand, PostCommand } from "./thread-messages.ts"

/** What a connection to a peer needs of its endpoint. */
export interface CallerHost {
  readonly agent: NixlAgent
  readonly remotes: RemoteAgents
  wake(): void
  connected(link: CallerLink): void
  moved(move: number): void
  stopped(move: number, error: KvErrorRecord): void
  lost(link: CallerLink, error: KvError): void
  /** NIXL failed towards an agent, and has forgotten it: every connection to it is lost. */
  failed(remote: RemoteAgent, error: KvError): void
  /** A lost connection has no more moves: what it knows of the peer's agent is not needed any more. */
  left(link: CallerLink, remote: RemoteAgent | undefined): void
  /** A move, or the connection with its last one, is gone. */
  settled(): void
  /** Ends NIXL's agent, and with it every connection. */
  reset(why: string): void
}

/** The side channel to one peer, as the side that called holds it, and the moves that go over the connection. */
export class CallerLink implements MoveHost {
  readonly id: number
  readonly session: string
  readonly places = new Map<number, Place>()
  readonly #host: CallerHost
  readonly #command: ConnectCommand
  readonly #nonce = randomBytes(nonceBytes)
  readonly #moves = new Map<number, OutboundMove>()
  readonly #deadline: NodeJS.Timeout
  #channel: SideChannel | undefined
  #phase: "greeting" | "proving" | "fetching" | "up" | "lost" = "greeting"
  #greeting: Greeting | undefined
  #peerAgent = ""
  #remote: RemoteAgent | undefined
  #error: KvError | undefined
  #left = false

  constructor(host: CallerHost, command: ConnectCommand) {
    this.id = command.connection
    this.session = command.session
    this.#host = host
    this.#command = command
    const left = Math.min(Math.max(0, command.deadlineMillis - sharedMillis()), 2 ** 31 - 1)
    this.#deadline = setTimeout(() => {
      this.lose(
        new KvError("KV_DEADLINE", {
          what: `${command.host}:${command.port} did not let us in by the deadline`,
        }),
      )
    }, left)
    tcpControlNetwork.connect(command.host, command.port, left + 1000).then(
      (channel) => this.#greet(channel),
      (error: unknown) => this.lose(asKvError(error, "KV_PEER_UNREACHABLE", "the peer cannot be reached")),
    )
  }

  get agent(): NixlAgent {
    return this.#host.agent
  }

  get remote(): RemoteAgent {
    return this.#remote!
  }

  get moves(): Iterable<OutboundMove> {
    return this.#moves.values()
  }

  post({ move, deadlineMillis }: PostCommand, lists: PreparedLists): void {
    if (this.#error !== undefined) return this.#host.stopped(move, this.#error.toJSON())
    const begun = new OutboundMove(this, move, lists)
    this.#moves.set(move, begun)
    begun.begin(deadlineMillis)
  }

  /** Ends a move early. */
  stop(move: number, error: KvError): void {
    this.#moves.get(move)?.stop(error)
  }

  step(): PumpState {
    let state: PumpState = "idle"
    for (const move of [...this.#moves.values()]) {
      const found = move.step()
      if (found === "moved" || state === "idle") state = found
    }
    return state
  }

  /** The connection can no longer be used. Its moves end as soon as nothing of them is under way. */
  lose(error: KvError): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#phase = "lost"
    clearTimeout(this.#deadline)
    this.#host.lost(this, error)
    for (const move of [...this.#moves.values()]) move.stop(error)
    this.#leave()
  }

  /** NIXL's agent was ended: nothing is under way any more. */
  abandon(error: KvError): void {
    this.#remote = undefined
    this.lose(error)
    for (const move of [...this.#moves.values()]) move.abandon(error)
    this.#leave()
  }

  send(message: CallerMessage): void {
    this.#channel?.send(message)
  }

  ended(move: OutboundMove, error: KvError | undefined): void {
    this.#moves.delete(move.id)
    if (error === undefined) this.#host.moved(move.id)
    else this.#host.stopped(move.id, error.toJSON())
    this.#leave()
    this.#host.settled()
  }

  failed(error: KvError): void {
    this.#host.failed(this.remote, error)
  }

  /** True when it goes to this agent of NIXL's. */
  goesTo(remote: RemoteAgent): boolean {
    return this.#remote === remote
  }

  unstoppable(move: OutboundMove): void {
    const bytes = move.lists.direction === "read" ? "into" : "out of"
    this.#host.reset(`a transfer ${bytes} this side's memory did not end when it was told to`)
  }

  #greet(channel: ControlChannel): void {
    if (this.#error !== undefined) return channel.close()
    const side = new SideChannel(channel)
    this.#channel = side
    side.onMessage = (message) => this.#hear(message)
    side.onClosed = (why) => {
      const untrusted = this.#phase === "greeting" || this.#phase === "proving"
      this.lose(
        new KvError(untrusted ? "KV_PEER_REFUSED" : "KV_PEER_LOST", {
          what: untrusted
            ? "the peer's nixl endpoint hung up before it had proven itself"
            : "the nixl connection to the peer ended",
          why,
        }),
      )
    }
  }

  #hear(message: unknown): void {
    try {
      if (this.#phase === "greeting") this.#prove(readGreeting(message))
      else if (this.#phase === "proving") this.#enter(message)
      else this.#listen(readListenerMessage(message))
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      this.lose(thrown)
    }
  }

  #prove(greeting: Greeting): void {
    if (greeting.version !== sideVersion) {
      throw new KvError("KV_PEER_REFUSED", {
        what: `the peer's nixl side channel is of version ${greeting.version}, and ours of ${sideVersion}`,
        next: "run the same kvferry on both sides",
      })
    }
    this.#greeting = greeting
    this.#phase = "proving"
    const { session, key } = this.#command
    const proof = sessionProof(key, "nixl caller 1", session, Buffer.from(greeting.nonce, "hex"), this.#nonce)
    const nonce = this.#nonce.toString("hex")
    this.#channel!.send({ session, nonce, proof: Buffer.from(proof).toString("hex") })
  }

  /** The peer proves that it knows the key too; only then NIXL reads what it sent. */
  #enter(message: unknown): void {
    const { proof, agent } = readWelcome(message)
    const { session, key, regions } = this.#command
    const theirs = Buffer.from(this.#greeting!.nonce, "hex")
    const expected = sessionProof(key, "nixl listener 1", session, this.#nonce, theirs)
    if (!sameProof(Buffer.from(proof, "hex"), expected)) {
      throw new KvError("KV_PEER_UNTRUSTED", {
        what: "whoever answered for the peer's nixl endpoint does not know the session's key",
      })
    }
    if (agent === this.agent.name) {
      throw new KvError("KV_PEER_UNREACHABLE", { what: "a nixl endpoint has no connection to itself" })
    }
    this.#channel!.trust()
    this.#peerAgent = agent
    this.#phase = "fetching"
    this.send({ type: "want", regions })
  }

  #listen(message: ListenerMessage): void {
    if (message.type === "have") {
      if (this.#phase !== "fetching") return
      this.#remote = this.#host.remotes.enter(this.#peerAgent, message.connection)
    }
    if (message.type === "have" || (message.type === "go" && this.#phase === "up")) {
      this.#host.remotes.learn(this.remote, message)
      for (const place of message.places) this.places.set(place.region, place)
    }
    if (message.type === "have") {
      this.#phase = "up"
      clearTimeout(this.#deadline)
      this.#host.connected(this)
    } else if (message.type === "closing") this.#leaveRegion(message.region, message.rkey)
    else if (message.type === "bye") {
      this.lose(new KvError("KV_PEER_LOST", { what: "the peer ended the nixl connection", why: message.why }))
    } else {
      this.#moves.get(message.move)?.hear(message)
      this.#host.wake()
    }
  }

  #leaveRegion(region: number, rkey: number): void {
    const error = new KvError("KV_RKEY_REJECTED", {
      what: `the key of region ${region} was rejected`,
      why: "the peer closed it during the transfer",
      next: "connect again to fetch the peer's present descriptors",
    })
    for (const move of [...this.#moves.values()]) {
      if (move.lists.regions.some(([, key]) => key === rkey)) move.stop(error)
    }
  }

  /** Hangs up on a lost connection once its last move is over: to the peer that says that nothing is under way. */
  #leave(): void {
    if (this.#error === undefined || this.#moves.size > 0) return
    this.#channel?.close(this.#error.message)
    if (this.#left) return
    this.#left = true
    this.#host.left(this, this.#remote)
    this.#remote = undefined
    this.#host.settled()
  }
}
