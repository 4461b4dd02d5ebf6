import { KvError, type KvErrorRecord } from "../errors/kv-error.ts"
import { encodeFrame, FrameReader, type FrameSealer, frameLimits } from "../wire/control-frame.ts"
import { type ControlMessage, messageLimits, noCall, readControlMessage } from "../wire/control-messages.ts"
import type { ControlChannel } from "./control-network.ts"
import { frameOpener, frameSealer } from "./sealed-frames.ts"

/** A received message with the bytes that came behind it. */
export interface Received {
  readonly message: ControlMessage
  readonly attachment: Uint8Array
}

/** The last plain message of each side; what its sender says afterwards is sealed. */
const lastPlain: ReadonlySet<string> = new Set(["welcome", "present"])

/**
 * A control channel that speaks messages. A malformed one closes it: after that nothing can be trusted.
 *
 * Its messages are plain until the handshake has made keys. Behind the last plain one it reads no further before it
 * has the key for what follows.
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
  #sealer: FrameSealer | undefined
  /** The key for what the peer seals is here. */
  #opened = false
  /** The last plain message is here, and the key is not. */
  #held = false

  constructor(channel: ControlChannel) {
    this.#channel = channel
    this.peer = channel.peer
    this.peerHost = channel.peerHost
    channel.onBytes((bytes) => this.#take(bytes))
    channel.onClose((why) => this.#end(new KvError("KV_PEER_LOST", { what: `${this.peer} is gone`, why })))
  }

  /** @throws KvError KV_LIMIT for one that is too long. What is said after the end is said to nobody. */
  send(message: ControlMessage, attachment?: Uint8Array): void {
    if (this.#closed !== undefined) return
    const frame = { body: message, ...(attachment === undefined ? {} : { attachment }) }
    this.#channel.send(encodeFrame(frame, this.#sealer))
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

  /** From now on what this side says is sealed. */
  seal(key: Uint8Array): void {
    this.#sealer = frameSealer(key)
  }

  /** Ends the handshake: lets sealed messages through, and nothing else, and keeps them for the next listener. */
  handOver(key: Uint8Array): void {
    this.#backlog = []
    this.#reader.open(frameOpener(key))
    this.#opened = true
    this.#held = false
    this.#pump()
  }

  /**
   * Closes the channel, telling the peer why where there is something to tell.
   * @param told what the peer is told in place of `error`, which is for our own side.
   */
  close(error?: KvError, told: KvError | undefined = error): void {
    if (this.#closed !== undefined) return
    if (told !== undefined) this.#tell(told)
    // First, so that this reason is the one that is told, whenever the network reports its end.
    this.#end(
      error ?? new KvError("KV_PEER_LOST", { what: `the channel to ${this.peer} was closed by this side` }),
    )
    this.#channel.close()
  }

  #tell(error: KvError): void {
    try {
      this.send({ type: "refused", call: noCall, error: refusalRecord(error) })
    } catch (thrown) {
      // It ends for its reason, also when nothing can be said any more.
      if (!(thrown instanceof KvError)) throw thrown
    }
  }

  #take(bytes: Uint8Array): void {
    if (this.#closed !== undefined) return
    this.#reader.push(bytes)
    this.#pump()
  }

  #pump(): void {
    try {
      while (this.#closed === undefined && !this.#held) {
        const frame = this.#reader.next()
        if (frame === undefined) return
        const received = { message: readControlMessage(frame.body), attachment: frame.attachment }
        this.#held = !this.#opened && lastPlain.has(received.message.type)
        if (this.#backlog === undefined) this.#onMessage(received)
        else this.#backlog.push(received)
      }
      if (this.#held && this.#reader.waiting > frameLimits.opening) throw tooEarly(this.peer)
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

const tooEarly = (peer: string): KvError =>
  new KvError("KV_LIMIT", {
    what: `${peer} sent more than ${frameLimits.opening} bytes before the handshake was over`,
  })

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
