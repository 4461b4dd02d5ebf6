import { randomBytes } from "node:crypto"
import { KvError } from "../../errors/kv-error.ts"
import type { NixlAgent, NixlSpan } from "../../os/nixl/nixl-agent.ts"
import { sameProof, sessionProof } from "../session-proof.ts"
import type { Rights } from "../transport.ts"
import type { SideChannel } from "./side-channel.ts"
import {
  type CallerMessage,
  type ListenerMessage,
  nonceBytes,
  type Place,
  type Places,
  type RegionKey,
  readCallerMessage,
  readHello,
  sideVersion,
} from "./side-messages.ts"

/** A caller that has not proven itself by then is cut off. */
const strangerMillisMax = 5000
/** Moves that one caller may have under way here. */
const movesMax = 1024

/** A region as the thread knows it. */
export interface NixlRegion {
  readonly region: number
  readonly rkey: number
  readonly span: NixlSpan
  /** What it was registered for. No session's rights go beyond. */
  readonly access: Rights
  /** It is being closed: nothing new begins. */
  closing: boolean
}

/** A session that was let in. */
export interface AdmittedSession {
  readonly key: Uint8Array
  readonly rights: Rights
}

/** What the connections of callers need of their endpoint. */
export interface ListenerHost {
  readonly agent: NixlAgent
  readonly regions: ReadonlyMap<number, NixlRegion>
  readonly sessions: ReadonlyMap<string, AdmittedSession>
  /** A caller moves bytes: NIXL may need a processor of ours for that. */
  wake(): void
  /** A move of a caller, or the caller itself, is gone. */
  settled(link?: PeerLink): void
}

/** A move of a caller that may touch our memory now. */
interface InboundMove {
  readonly direction: "read" | "write"
  readonly regions: readonly RegionKey[]
}

const bothWays = ["read", "write"] as const

/** The side channel of one caller, as the side that was called holds it. */
export class PeerLink {
  /** Of the session that was proven. */
  session: string | undefined
  readonly #host: ListenerHost
  readonly #channel: SideChannel
  readonly #nonce = randomBytes(nonceBytes)
  readonly #moves = new Map<number, InboundMove>()
  /** Registrations whose metadata this caller has, by their device numbers. */
  readonly #sent = new Set<number>()
  readonly #patience: NodeJS.Timeout

  constructor(host: ListenerHost, channel: SideChannel) {
    this.#host = host
    this.#channel = channel
    this.#patience = setTimeout(() => channel.close("it proved nothing"), strangerMillisMax)
    channel.onMessage = (message) => {
      if (this.session === undefined) this.#greet(message)
      else this.#hear(readCallerMessage(message))
    }
    channel.onClosed = () => this.#gone()
    channel.send({ version: sideVersion, nonce: this.#nonce.toString("hex") })
  }

  /** How many moves touch our memory now. @param rkey only those that use the region of this key. */
  moving(rkey?: number, direction?: "read" | "write"): number {
    let count = 0
    for (const move of this.#moves.values()) {
      if (direction !== undefined && move.direction !== direction) continue
      if (rkey === undefined || move.regions.some(([, key]) => key === rkey)) count += 1
    }
    return count
  }

  /** Asks the caller to stop what touches a region. */
  leave({ region, rkey }: NixlRegion): void {
    if (this.moving(rkey) > 0) this.#say({ type: "closing", region, rkey })
  }

  /** Asks the caller to stop everything. It hangs up when that is done; one that moves nothing is hung up on at once. */
  dismiss(why: string): void {
    this.#say({ type: "bye", why })
    if (this.#moves.size === 0) this.close(why)
  }

  close(why: string): void {
    this.#channel.close(why)
    this.#gone()
  }

  #greet(message: unknown): void {
    const { session, nonce, proof } = readHello(message)
    const admitted = this.#host.sessions.get(session)
    const theirs = Buffer.from(nonce, "hex")
    const known =
      admitted !== undefined &&
      sameProof(
        Buffer.from(proof, "hex"),
        sessionProof(admitted.key, "nixl caller 1", session, this.#nonce, theirs),
      )
    if (!known) {
      this.#channel.send({ refused: "untrusted" })
      return this.close("it does not know the session's key")
    }
    clearTimeout(this.#patience)
    this.session = session
    this.#channel.trust()
    const ours = sessionProof(admitted.key, "nixl listener 1", session, theirs, this.#nonce)
    this.#channel.send({ proof: Buffer.from(ours).toString("hex"), agent: this.#host.agent.name })
  }

  #hear(message: CallerMessage): void {
    if (message.type === "step") this.#host.wake()
    else if (message.type === "want") {
      const connection = this.#host.agent.metadata([])
      this.#say({ type: "have", connection, ...this.#places(this.#granted(message.regions)) })
    } else if (message.type === "begin") this.#begin(message)
    else this.#end(message.move)
  }

  #begin({ move, direction, regions }: Extract<CallerMessage, { type: "begin" }>): void {
    try {
      const open = regions.map((key) => this.#open(key, direction))
      if (this.#moves.size >= movesMax || this.#moves.has(move)) {
        throw new KvError("KV_LIMIT", { what: `this caller has ${this.#moves.size} transfers under way` })
      }
      const places = this.#places(open)
      this.#moves.set(move, { direction, regions })
      this.#say({ type: "go", move, ...places })
      this.#host.wake()
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      this.#say({ type: "refused", move, error: thrown.toJSON() })
    }
  }

  #end(move: number): void {
    const ended = this.#moves.get(move)
    if (ended === undefined) return
    // Where a fabric puts bytes into our memory by a processor of ours, they are all there after this.
    if (ended.direction === "write") this.#host.agent.progress()
    this.#moves.delete(move)
    let error: KvError | undefined
    try {
      for (const key of ended.regions) this.#open(key, ended.direction)
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      error = thrown
    }
    this.#say({ type: "confirmed", move, error: error?.toJSON() })
    this.#host.settled()
  }

  /** @throws KvError KV_PEER_LOST, KV_PEER_UNTRUSTED, KV_RKEY_REJECTED when the caller may not do this now. */
  #open([region, rkey]: RegionKey, direction: "read" | "write"): NixlRegion {
    const session = this.#host.sessions.get(this.session ?? "")
    if (session === undefined) throw new KvError("KV_PEER_LOST", { what: "the peer ended the session" })
    const found = this.#host.regions.get(region)
    if (found === undefined || found.rkey !== rkey || found.closing) {
      throw new KvError("KV_RKEY_REJECTED", {
        what: `the key of region ${region} was rejected`,
        why:
          found?.closing === true
            ? "the peer is closing it"
            : "the peer does not know that key: it restarted, or closed the region",
        next: "connect again to fetch the peer's present descriptors",
      })
    }
    if (!session.rights[direction] || !found.access[direction]) {
      throw new KvError("KV_PEER_UNTRUSTED", { what: `the peer did not grant a ${direction}` })
    }
    return found
  }

  /** Those of the wanted regions that this session may use at all. */
  #granted(wanted: readonly RegionKey[]): NixlRegion[] {
    const open: NixlRegion[] = []
    for (const key of wanted) {
      for (const direction of bothWays) {
        try {
          open.push(this.#open(key, direction))
          break
        } catch (thrown) {
          // It will be refused with its reason when it is used.
          if (!(thrown instanceof KvError)) throw thrown
        }
      }
    }
    return open
  }

  #places(regions: readonly NixlRegion[]): Places {
    const fresh = regions.filter(({ span }) => !this.#sent.has(span.device))
    for (const { span } of fresh) this.#sent.add(span.device)
    const places = regions.map(({ region, rkey, span }): Place => ({ region, rkey, ...span }))
    const metadata = fresh.length === 0 ? undefined : this.#host.agent.metadata(fresh.map(({ span }) => span))
    return { places, metadata }
  }

  #say(message: ListenerMessage): void {
    this.#channel.send(message)
  }

  #gone(): void {
    clearTimeout(this.#patience)
    this.#moves.clear()
    this.#host.settled(this)
  }
}
