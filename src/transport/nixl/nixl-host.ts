import { randomBytes } from "node:crypto"
import type { ControlListener } from "../../agent/control-network.ts"
import { asKvError, KvError, type KvErrorRecord, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { tcpControlNetwork } from "../../os/control-net.ts"
import { NixlAgent } from "../../os/nixl/nixl-agent.ts"
import type { NixlLibrary } from "../../os/nixl/nixl-library.ts"
import { type CallerHost, CallerLink } from "./caller-link.ts"
import { type AdmittedSession, type ListenerHost, type NixlRegion, PeerLink } from "./peer-link.ts"
import { PreparedLists } from "./prepared-lists.ts"
import { Pump, type PumpState } from "./pump.ts"
import { type RemoteAgent, RemoteAgents } from "./remote-agents.ts"
import { SideChannel } from "./side-channel.ts"
import type { NixlCommand, NixlEvent, NixlStart } from "./thread-messages.ts"

/** How long a closing region, or an ending session, waits for its transfers. */
const quietMillisMax = 5000
/** The same for a whole endpoint: whoever closes it ends NIXL's agent anyway. */
const closeMillisMax = 1000

const goneConnection: KvErrorRecord = {
  code: "KV_PEER_LOST",
  what: "the nixl connection of this transfer is gone",
}

type Told<Type extends NixlCommand["type"]> = Extract<NixlCommand, { type: Type }>

/** What one endpoint is on its thread: the only place that calls NIXL. */
export class NixlHost implements CallerHost, ListenerHost {
  readonly regions = new Map<number, NixlRegion>()
  readonly sessions = new Map<string, AdmittedSession>()
  readonly #start: NixlStart
  readonly #library: NixlLibrary
  readonly #emit: (event: NixlEvent) => void
  readonly #callers = new Map<number, CallerLink>()
  readonly #peers = new Set<PeerLink>()
  readonly #prepared = new Map<number, PreparedLists | KvErrorRecord>()
  readonly #waiters = new Set<() => void>()
  readonly #pump = new Pump(() => this.#step())
  #agent: NixlAgent
  #remotes: RemoteAgents
  #listener: ControlListener | undefined
  /** NIXL tells registrations of the same memory apart by it; 0 is what everybody else uses. */
  #nextDevice = 1

  constructor(start: NixlStart, library: NixlLibrary, emit: (event: NixlEvent) => void) {
    this.#start = start
    this.#library = library
    this.#emit = emit
    this.#agent = this.#newAgent()
    this.#remotes = new RemoteAgents(this.#agent)
  }

  get agent(): NixlAgent {
    return this.#agent
  }

  get remotes(): RemoteAgents {
    return this.#remotes
  }

  async listen(): Promise<void> {
    this.#listener = await tcpControlNetwork.listen(this.#start.host, 0, (channel) => {
      this.#peers.add(new PeerLink(this, new SideChannel(channel)))
    })
    this.#emit({ type: "listening", port: this.#listener.port })
  }

  /** Carries out a command of the main thread. */
  hear(command: Exclude<NixlCommand, Told<"stop">>): void {
    if (command.type === "connect") this.#callers.set(command.connection, new CallerLink(this, command))
    else if (command.type === "prepare") this.#prepare(command)
    else if (command.type === "post") this.#post(command)
    else if (command.type === "forget") this.#forget(command.prepared)
    else if (command.type === "stopMove") {
      for (const link of this.#callers.values()) {
        link.stop(command.move, kvErrorFromRecord(command.error, "KV_CANCELLED"))
      }
    } else {
      this.#carryOut(command).then(
        () => this.#emit({ type: "done", call: command.call }),
        (thrown: unknown) => {
          const error = asKvError(thrown, "KV_INTERNAL", "the nixl thread failed")
          this.#emit({ type: "done", call: command.call, error: error.toJSON() })
        },
      )
    }
  }

  /** Ends everything. Afterwards NIXL touches nothing on our behalf. */
  async close(): Promise<void> {
    const why = "this side closed the nixl endpoint"
    for (const link of [...this.#callers.values()]) link.lose(new KvError("KV_PEER_LOST", { what: why }))
    for (const peer of [...this.#peers]) peer.dismiss("the peer closed its nixl endpoint")
    await this.#quiet(() => this.#callers.size === 0 && this.#peers.size === 0, closeMillisMax)
    this.#endAgent(why)
    await this.#listener?.[Symbol.asyncDispose]()
  }

  wake(): void {
    this.#pump.wake()
  }

  connected(link: CallerLink): void {
    this.#emit({ type: "connected", connection: link.id })
  }

  moved(move: number): void {
    this.#emit({ type: "moved", move })
  }

  stopped(move: number, error: KvErrorRecord): void {
    this.#emit({ type: "stopped", move, error })
  }

  lost(link: CallerLink, error: KvError): void {
    this.#emit({ type: "lost", connection: link.id, error: error.toJSON() })
  }

  failed(remote: RemoteAgent, error: KvError): void {
    this.#remotes.fail(remote)
    for (const link of [...this.#callers.values()]) if (link.goesTo(remote)) link.lose(error)
  }

  left(link: CallerLink, remote: RemoteAgent | undefined): void {
    this.#callers.delete(link.id)
    for (const [id, lists] of this.#prepared) {
      if (!(lists instanceof PreparedLists) || lists.connection !== link.id) continue
      lists.release()
      this.#prepared.delete(id)
    }
    if (remote !== undefined) this.#remotes.leave(remote)
  }

  settled(link?: PeerLink): void {
    if (link !== undefined) this.#peers.delete(link)
    for (const waiter of [...this.#waiters]) waiter()
  }

  reset(why: string): void {
    this.#endAgent(why)
    try {
      this.#agent = this.#newAgent()
      this.#remotes = new RemoteAgents(this.#agent)
      for (const { span } of this.regions.values()) this.#agent.register(span)
    } catch (thrown) {
      const error = asKvError(thrown, "KV_TRANSPORT_UNAVAILABLE", "NIXL could not be opened again")
      this.#emit({ type: "failed", error: error.toJSON() })
    }
  }

  #newAgent(): NixlAgent {
    return new NixlAgent(this.#library, `kvferry-${randomBytes(8).toString("hex")}`, this.#start.backends)
  }

  /** Gives back what NIXL has given out, ends its agent, and only then says that every transfer has stopped. */
  #endAgent(why: string): void {
    for (const link of this.#callers.values()) for (const move of link.moves) move.surrender()
    for (const lists of this.#prepared.values()) if (lists instanceof PreparedLists) lists.release()
    this.#prepared.clear()
    this.#agent.destroy()
    const error = new KvError("KV_PEER_LOST", { what: "NIXL's agent of this side was ended", why })
    for (const link of [...this.#callers.values()]) link.abandon(error)
    for (const peer of [...this.#peers]) peer.close("the peer's NIXL agent was ended")
  }

  #carryOut(command: Told<"register" | "deregister" | "admit" | "dismiss" | "disconnect">): Promise<void> {
    if (command.type === "register") return this.#register(command)
    if (command.type === "deregister") return this.#deregister(command.region)
    if (command.type === "dismiss") return this.#dismiss(command.session)
    if (command.type === "disconnect") return this.#disconnect(command.connection)
    this.sessions.set(command.session, { key: command.key, rights: command.rights })
    return Promise.resolve()
  }

  async #register({ region, rkey, span, access }: Told<"register">): Promise<void> {
    const known = { ...span, device: this.#nextDevice++ }
    this.#agent.register(known)
    this.regions.set(region, { region, rkey, span: known, access, closing: false })
  }

  async #deregister(region: number): Promise<void> {
    const found = this.regions.get(region)
    if (found === undefined) return
    found.closing = true
    const error = new KvError("KV_RKEY_REJECTED", {
      what: `this side closed region ${region} during the transfer`,
    })
    for (const move of this.#moves()) if (move.lists.usesLocal(region)) move.stop(error)
    for (const peer of this.#peers) peer.leave(found)
    const users = (direction?: "read" | "write"): number =>
      [...this.#peers].reduce((sum, peer) => sum + peer.moving(found.rkey, direction), 0)
    const busy = (): boolean => users() > 0 || this.#moves().some((move) => move.lists.usesLocal(region))
    await this.#stopUsers(
      () => !busy(),
      () => users("write"),
      `region ${region}`,
    )
    for (const [id, lists] of this.#prepared) {
      if (!(lists instanceof PreparedLists) || !lists.usesLocal(region)) continue
      lists.release()
      this.#prepared.set(id, error.toJSON())
    }
    this.regions.delete(region)
    this.#agent.deregister(found.span)
  }

  async #dismiss(session: string): Promise<void> {
    this.sessions.delete(session)
    const error = new KvError("KV_PEER_LOST", { what: "this side ended the session" })
    const callers = (): CallerLink[] => [...this.#callers.values()].filter((link) => link.session === session)
    const peers = (): PeerLink[] => [...this.#peers].filter((link) => link.session === session)
    for (const link of callers()) link.lose(error)
    for (const peer of peers()) peer.dismiss("the peer ended the session")
    await this.#stopUsers(
      () => callers().length === 0 && peers().length === 0,
      () => peers().reduce((sum, peer) => sum + peer.moving(undefined, "write"), 0),
      "the session",
    )
  }

  async #disconnect(connection: number): Promise<void> {
    const link = this.#callers.get(connection)
    if (link === undefined) return
    link.lose(new KvError("KV_PEER_LOST", { what: "this side closed the nixl connection" }))
    await this.#quiet(() => !this.#callers.has(connection), quietMillisMax)
  }

  /**
   * Waits until nobody uses what is being closed. A peer that does not let go, because it was stopped, say, loses its
   * way to this side with NIXL's agent; only what its own kernel writes cannot be ended from here.
   * @throws KvError KV_PEER_LOST when a peer may still be writing.
   */
  async #stopUsers(unused: () => boolean, writers: () => number, what: string): Promise<void> {
    if (await this.#quiet(unused, quietMillisMax)) return
    const writing = writers()
    this.reset(`a peer did not leave ${what} within ${quietMillisMax} ms`)
    if (writing === 0) return
    throw new KvError("KV_PEER_LOST", {
      what: `a peer that was writing into ${what} did not stop within ${quietMillisMax} ms`,
      why: "where a processor copies, NIXL cannot take its memory away from a peer",
      next: "end that process; until then the memory must not be used",
    })
  }

  #quiet(condition: () => boolean, millis: number): Promise<boolean> {
    if (condition()) return Promise.resolve(true)
    return new Promise((resolve) => {
      const end = (result: boolean): void => {
        clearTimeout(timer)
        this.#waiters.delete(look)
        resolve(result)
      }
      const look = (): void => {
        if (condition()) end(true)
      }
      const timer = setTimeout(() => end(condition()), millis)
      this.#waiters.add(look)
    })
  }

  #prepare(command: Told<"prepare">): void {
    if (!this.#callers.has(command.connection)) {
      this.#prepared.set(command.prepared, goneConnection)
      return
    }
    try {
      const lists = new PreparedLists(this.#agent, command, (region) => this.#deviceOf(region))
      this.#prepared.set(command.prepared, lists)
    } catch (thrown) {
      const error = asKvError(thrown, "KV_INTERNAL", "the transfer could not be prepared")
      this.#prepared.set(command.prepared, error.toJSON())
    }
  }

  #deviceOf(region: number): number {
    const found = this.regions.get(region)
    if (found !== undefined && !found.closing) return found.span.device
    throw new KvError("KV_RKEY_REJECTED", { what: `this side has no region ${region}, or is closing it` })
  }

  #post(command: Told<"post">): void {
    const lists = this.#prepared.get(command.prepared)
    const link = lists instanceof PreparedLists ? this.#callers.get(lists.connection) : undefined
    if (lists instanceof PreparedLists && link !== undefined) return link.post(command, lists)
    this.stopped(command.move, lists instanceof PreparedLists ? goneConnection : (lists ?? goneConnection))
  }

  #forget(prepared: number): void {
    const lists = this.#prepared.get(prepared)
    this.#prepared.delete(prepared)
    if (lists instanceof PreparedLists) lists.release()
  }

  #moves() {
    return [...this.#callers.values()].flatMap((link) => [...link.moves])
  }

  #step(): PumpState {
    let state: PumpState = "idle"
    for (const link of [...this.#callers.values()]) {
      const found = link.step()
      if (found === "moved" || state === "idle") state = found
    }
    for (const peer of this.#peers) {
      if (peer.moving() === 0) continue
      this.#agent.progress()
      return state === "moved" ? state : "waiting"
    }
    return state
  }
}
