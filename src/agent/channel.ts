import { KvError, type KvErrorRecord } from "../errors/kv-error.ts"
import { encodeFrame, FrameReader } from "../wire/control-frame.ts"
import { type ControlMessage, messageLimits, noCall, readControlMessage } from "../wire/control-messages.ts"
import type { ControlChannel } from "./control-network.ts"

/** A received message with the bytes that came behind it. */
export interface Received {
  readonly message: ControlMessage
  readonly attachment: Uint8Array
}

/**
 * A control channel that speaks messages. A malformed one closes it: after that nothing can be trusted.
 */
export class MessageChannel {
  readonly peer: string
  /** Numeric address of the other side. */
  readonly peerHost: string
  readonly #channel: ControlChannel
  readonly #reader = new FrameReader()
  #onMessage: (received: Received) => void = () => {}
  #onClose: (error: KvError) => void = () => {}
  #backlog: Received[] | undefined = []
  #closed: KvError | undefined

  constructor(channel: ControlChannel) {
    this.#channel = channel
    this.peer = channel.peer
    this.peerHost = channel.peerHost
    channel.onBytes((bytes) => this.#take(bytes))
    channel.onClose((why) => this.#end(new KvError("KV_PEER_LOST", { what: `${this.peer} is gone`, why })))
  }

  send(message: ControlMessage, attachment?: Uint8Array): void {
    this.#channel.send(encodeFrame({ body: message, ...(attachment === undefined ? {} : { attachment }) }))
  }

  /** Sets who listens; what came before is delivered now. */
  listen(onMessage: (received: Received) => void, onClose: (error: KvError) => void): void {
    this.#onMessage = onMessage
    this.#onClose = onClose
    const waiting = this.#backlog ?? []
    this.#backlog = undefined
    const closed = this.#closed
    for (const received of waiting) {
      // Ended by what came before: the rest belongs to nothing any more.
      if (this.#closed !== closed) return
      this.#onMessage(received)
    }
    if (closed !== undefined) onClose(closed)
  }

  /** Ends the handshake: keeps what came early for the next listener, and lets attachments through from now on. */
  handOver(early: readonly Received[]): void {
    this.#backlog = [...early]
    this.#reader.open()
  }

  /**
   * Closes the channel, telling the peer why where there is something to tell.
   * @param told what the peer is told in place of `error`, which is for our own side.
   */
  close(error?: KvError, told: KvError | undefined = error): void {
    if (this.#closed !== undefined) return
    if (told !== undefined) this.send({ type: "refused", call: noCall, error: refusalRecord(told) })
    // First, so that this reason is the one that is told, whenever the network reports its end.
    this.#end(
      error ?? new KvError("KV_PEER_LOST", { what: `the channel to ${this.peer} was closed by this side` }),
    )
    this.#channel.close()
  }

  #take(bytes: Uint8Array): void {
    if (this.#closed !== undefined) return
    try {
      for (const { body, attachment } of this.#reader.push(bytes)) {
        // What came behind a message that ended the relation belongs to nothing any more.
        if (this.#closed !== undefined) return
        const received = { message: readControlMessage(body), attachment }
        if (this.#backlog === undefined) this.#onMessage(received)
        else this.#backlog.push(received)
      }
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      this.close(thrown)
    }
  }

  #end(error: KvError): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    if (this.#backlog === undefined) this.#onClose(error)
  }
}

/** An error as it crosses the wire: its texts cut to what a peer accepts. */
export function refusalRecord(error: KvError): KvErrorRecord {
  const { code, what, why, next } = error.toJSON()
  const cut = (text: string): string => text.slice(0, messageLimits.errorText)
  return {
    code,
    what: cut(what),
    ...(why === undefined ? {} : { why: cut(why) }),
    ...(next === undefined ? {} : { next: cut(next) }),
  }
}
