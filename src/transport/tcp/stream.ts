import { wouldBlock } from "../../os/message-io.ts"
import { interest } from "../../os/poller.ts"
import type { MoverHost } from "./mover-host.ts"
import { Segments } from "./segments.ts"

/** How often one stream is read or written before the others of its thread have their turn. */
const roundsMax = 16

/** One socket of a mover, driven by readiness. Subclasses say what the bytes mean. */
export abstract class Stream {
  readonly fd: number
  protected readonly host: MoverHost
  /** What still has to be sent. */
  protected readonly outgoing = new Segments()
  /** Where what comes next belongs. When it is filled, `received` says what follows. */
  protected readonly incoming = new Segments()
  #closed = false

  constructor(host: MoverHost, fd: number) {
    this.host = host
    this.fd = fd
  }

  get closed(): boolean {
    return this.#closed
  }

  /** False while another thread has the socket, and will close it. */
  get holdsSocket(): boolean {
    return true
  }

  /** Bits of `interest` to wait for. */
  get wants(): number {
    return (this.incoming.bytes > 0 ? interest.read : 0) | (this.outgoing.bytes > 0 ? interest.write : 0)
  }

  /** True while payload is being received. */
  protected abstract get inPayload(): boolean

  /** When `expired` wants to be called, in shared milliseconds. */
  abstract get deadlineMillis(): number

  /** The deadline has passed. */
  abstract expired(nowMillis: number): void

  /** True when memory of a registered region may still be touched by what is under way. */
  abstract uses(region: number): boolean

  /** Everything that was expected has arrived. */
  protected abstract received(): void

  /** Everything that was queued has been sent. */
  protected abstract sent(): void

  /** The stream is closed; `why` is for the reader of an error. */
  protected abstract ended(why: string): void

  /** The socket is ready for `events`. */
  ready(events: number): void {
    if ((events & interest.write) !== 0) this.push()
    // Whoever has sent its answer mostly finds the next request here already.
    if (this.outgoing.bytes === 0 || (events & interest.read) !== 0) this.pull()
  }

  /** Ends the stream; safe to call again. */
  close(why: string): void {
    if (this.#closed) return
    this.#closed = true
    this.outgoing.clear()
    this.incoming.clear()
    if (this.holdsSocket) this.host.sockets.close(this.fd)
    this.host.changed()
    this.ended(why)
  }

  /** Something has arrived at the front of `incoming`. */
  protected arrived(): void {}

  /** Sends what the socket takes now. */
  protected push(): void {
    for (let round = 0; round < roundsMax && this.outgoing.bytes > 0 && !this.#closed; round++) {
      this.outgoing.fill(this.host.io)
      const sent = this.host.io.send(this.fd)
      if (sent < 0) {
        if (!wouldBlock(sent)) this.close(`sending failed with errno ${-sent}`)
        return
      }
      this.outgoing.advance(sent)
      if (this.outgoing.bytes === 0) {
        this.sent()
        return
      }
    }
  }

  /** Receives what the socket has now. */
  protected pull(): void {
    for (let round = 0; round < roundsMax && this.incoming.bytes > 0 && !this.#closed; round++) {
      this.incoming.fill(this.host.io)
      const offered = this.host.io.bytes
      const received = this.host.io.receive(this.fd)
      if (received <= 0) {
        if (received === 0) this.close("the peer closed the stream")
        else if (!wouldBlock(received)) this.close(`receiving failed with errno ${-received}`)
        return
      }
      this.incoming.advance(received)
      this.arrived()
      if (this.incoming.bytes === 0) this.received()
      // The socket was empty. In the middle of a payload more has come by now; a frame may be long in coming.
      if (received < offered && !this.inPayload) return
    }
  }
}
