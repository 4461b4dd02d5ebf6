import type { ControlChannel } from "../agent/control-network.ts"
import type { Links } from "./links.ts"
import type { SimProcess } from "./process.ts"
import { Stream } from "./stream.ts"

/** Between two probes of an idle connection, and how many in a row may go unanswered. */
const probe = { millis: 5000, lost: 3 } as const

/** One end of a simulated TCP connection, with the kernel's part of it. */
export class Socket implements ControlChannel {
  readonly peer: string
  readonly peerHost: string
  readonly process: SimProcess
  readonly #links: Links
  #other: Socket | undefined
  #out: Stream | undefined
  #open = true
  #onBytes: ((bytes: Uint8Array) => void) | undefined
  #onClose: ((why: string) => void) | undefined
  #early: Uint8Array[] = []
  #ended: string | undefined
  #lostProbes = 0
  #tap: ((bytes: Uint8Array) => void) | undefined

  constructor(process: SimProcess, links: Links, peer: { readonly host: string; readonly port: number }) {
    this.process = process
    this.#links = links
    this.peer = `${peer.host}:${peer.port}`
    this.peerHost = peer.host
    process.onDeath(() => this.#processDied())
  }

  /** Joins two ends. Both can send from now on. */
  static join(a: Socket, b: Socket): void {
    a.#connect(b)
    b.#connect(a)
  }

  get open(): boolean {
    return this.#open
  }

  /** Most bytes that waited to be sent at once. */
  get queuedPeak(): number {
    return this.#out?.queuedPeak ?? 0
  }

  /** Sees everything that is sent here, whole, before the network has it. */
  tap(listener: (bytes: Uint8Array) => void): void {
    this.#tap = listener
  }

  send(bytes: Uint8Array): void {
    if (!this.#open) return
    this.#tap?.(bytes)
    this.#out?.send(bytes.slice())
  }

  onBytes(listener: (bytes: Uint8Array) => void): void {
    this.#onBytes = listener
    const early = this.#early
    this.#early = []
    for (const bytes of early) this.process.later(0, () => this.#open && listener(bytes))
  }

  onClose(listener: (why: string) => void): void {
    this.#onClose = listener
    if (this.#ended !== undefined) this.#tellClose(this.#ended)
  }

  close(): void {
    if (!this.#open) return
    this.#out?.end()
    this.#end("this side closed the channel")
  }

  /** Ends the connection without a farewell, as a middle box may: what is on its way is lost. */
  reset(why = "ECONNRESET"): void {
    const other = this.#other
    this.#out?.stop()
    this.#end(why)
    other?.drop(why)
  }

  /** The connection is gone, and this end has just learnt it: what it sent last is lost. */
  drop(why: string): void {
    this.#out?.stop()
    this.#end(why)
  }

  #connect(other: Socket): void {
    this.#other = other
    this.#out = new Stream(this.process.world, this.#links, {
      from: this.process.host,
      to: other.process.host,
      arrive: (bytes) => other.#arrive(bytes),
      giveUp: () => this.drop("ETIMEDOUT"),
    })
    this.#probe()
  }

  #arrive(bytes: Uint8Array | undefined): void {
    if (!this.#open) {
      // The kernel of a host that knows no such connection says so, once, to whoever still sends.
      if (bytes !== undefined && this.#other?.open === true) this.#refuse()
      return
    }
    if (bytes === undefined) return this.#end("the peer closed the channel")
    this.process.deliver(() => {
      if (!this.#open) return
      if (this.#onBytes === undefined) this.#early.push(bytes)
      else this.#onBytes(bytes)
    })
  }

  #refuse(): void {
    const other = this.#other!
    this.#links.once(this.process.host, other.process.host, () => {
      other.drop("ECONNRESET")
    })
  }

  #end(why: string): void {
    if (!this.#open) return
    this.#open = false
    this.#ended = why
    if (this.#onClose !== undefined) this.#tellClose(why)
  }

  #tellClose(why: string): void {
    const listener = this.#onClose
    this.process.later(0, () => listener?.(why))
  }

  /** `kill -9`: the kernel says farewell for the dead, unless the host lost its power with it. */
  #processDied(): void {
    if (!this.#open) return
    this.#open = false
    if (this.#links.isOff(this.process.host)) this.#out?.stop()
    else if (this.process.world.random.network.chance(0.5)) this.#out?.end()
    else {
      this.#out?.stop()
      if (this.#other !== undefined) this.#refuse()
    }
  }

  /** Keep-alive: a peer that does not answer for a while is gone. */
  #probe(): void {
    this.process.world.timeline.after(probe.millis, () => {
      if (!this.#open) return
      const other = this.#other!
      const [here, there] = [this.process.host, other.process.host]
      if (this.#links.blocked(here, there) || this.#links.blocked(there, here)) this.#lostProbes += 1
      else if (!other.#open && !this.#hasFarewell(other)) {
        return this.drop("ECONNRESET")
      } else this.#lostProbes = 0
      if (this.#lostProbes >= probe.lost) {
        return this.drop("ETIMEDOUT")
      }
      this.#probe()
    })
  }

  /** True when the other side's end is still on its way to us: then it comes in its turn. */
  #hasFarewell(other: Socket): boolean {
    return other.#out!.busy
  }
}
