import type { ControlChannel, ControlListener, ControlNetwork } from "../agent/control-network.ts"
import { KvError } from "../errors/kv-error.ts"
import type { Links } from "./links.ts"
import type { SimProcess } from "./process.ts"
import { Socket } from "./socket.ts"
import type { World } from "./world.ts"

interface Listening {
  readonly process: SimProcess
  readonly sockets: Set<Socket>
  readonly onChannel: (channel: ControlChannel) => void
}

/** Ports that the kernel gives out when it is asked for any. */
const firstFreePort = 40_000

/** TCP between the simulated processes: latency, cuts, half-open connections, bytes in any pieces. */
export class SimNetwork {
  readonly #world: World
  readonly #links: Links
  readonly #listeners = new Map<string, Listening>()
  readonly #sockets = new Set<Socket>()
  #nextPort = firstFreePort
  /** Called with each connection that was made. */
  onJoin: (caller: Socket, listener: Socket) => void = () => {}

  constructor(world: World, links: Links) {
    this.#world = world
    this.#links = links
  }

  /** Open ends that a process holds. */
  openOf(process: SimProcess): Socket[] {
    return this.open().filter((socket) => socket.process === process)
  }

  /** All open ends. */
  open(): Socket[] {
    for (const socket of this.#sockets) if (!socket.open) this.#sockets.delete(socket)
    return [...this.#sockets]
  }

  /** The network as one process sees it. */
  of(process: SimProcess): ControlNetwork {
    return {
      listen: (host, port, onChannel) => this.#listen(process, host, port, onChannel),
      connect: (host, port, timeoutMillis) => this.#connect(process, host, port, timeoutMillis),
    }
  }

  async #listen(
    process: SimProcess,
    host: string,
    port: number,
    onChannel: (channel: ControlChannel) => void,
  ): Promise<ControlListener> {
    const taken = port === 0 ? this.#nextPort++ : port
    const key = `${host}:${taken}`
    if (this.#listeners.has(key)) {
      throw new KvError("KV_PORT_IN_USE", { what: `port ${taken} of ${host} is taken` })
    }
    const listening = { process, sockets: new Set<Socket>(), onChannel }
    this.#listeners.set(key, listening)
    const leave = (): void => {
      if (this.#listeners.get(key) === listening) this.#listeners.delete(key)
    }
    process.onDeath(leave)
    return {
      host,
      port: taken,
      [Symbol.asyncDispose]: () => {
        leave()
        for (const socket of listening.sockets) socket.close()
        return Promise.resolve()
      },
    }
  }

  #connect(process: SimProcess, host: string, port: number, timeoutMillis: number): Promise<ControlChannel> {
    return new Promise((resolve, reject) => {
      let waiting = true
      const settle = (action: () => void): void => {
        if (!waiting) return
        waiting = false
        cancelTimer()
        action()
      }
      const cancelTimer = process.clock.after(timeoutMillis, () =>
        settle(() =>
          reject(
            new KvError("KV_DEADLINE", { what: `${host}:${port} did not answer within ${timeoutMillis} ms` }),
          ),
        ),
      )
      const wanted = (): boolean => waiting && process.state !== "dead"
      this.#links.surely(process.host, host, wanted, () => {
        const listening = this.#listeners.get(`${host}:${port}`)
        if (listening === undefined) {
          const what = `the agent at ${host}:${port} cannot be reached`
          return this.#links.once(host, process.host, () =>
            process.deliver(() =>
              settle(() => reject(new KvError("KV_PEER_UNREACHABLE", { what, why: "ECONNREFUSED" }))),
            ),
          )
        }
        this.#accept(process, listening, { host, port }, (caller) => {
          // Who has given up meanwhile closes what comes late.
          if (waiting) settle(() => resolve(caller))
          else caller.close()
        })
      })
    })
  }

  #accept(
    process: SimProcess,
    listening: Listening,
    at: { readonly host: string; readonly port: number },
    connected: (caller: Socket) => void,
  ): void {
    const caller = new Socket(process, this.#links, at)
    const called = new Socket(listening.process, this.#links, { host: process.host, port: this.#nextPort++ })
    Socket.join(caller, called)
    this.#sockets.add(caller).add(called)
    listening.sockets.add(called)
    this.#world.note(process.name, `is connected to ${listening.process.name}`)
    this.onJoin(caller, called)
    listening.process.deliver(() => {
      if (called.open) listening.onChannel(called)
    })
    this.#links.surely(
      at.host,
      process.host,
      () => process.state !== "dead",
      () => process.deliver(() => connected(caller)),
    )
  }
}
