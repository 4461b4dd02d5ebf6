import type { Socket } from "node:net"
import { MessageSplitter, packMessage } from "../../wire/json-messages.ts"

/** Longest message, in bytes of JSON. */
const messageBytesMax = 256 * 1024
/** Bytes that may wait to be sent: a peer that asks and does not read is cut off. */
const unsentBytesMax = 4 * 2 ** 20

/**
 * Messages between the two ends of one RDMA connection, beside its lanes: JSON objects behind their length.
 *
 * It lives as long as the connection, and its end is the peer's end.
 */
export class SideChannel {
  /** Resolves with the reason when it has ended. */
  readonly ended: Promise<string>
  readonly #socket: Socket
  readonly #splitter = new MessageSplitter(messageBytesMax)
  #reason: string | undefined
  #listener: ((message: unknown) => void) | undefined
  #unheard: unknown[] = []

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 5000)
    socket.on("data", (bytes: Buffer) => this.#receive(bytes))
    this.ended = new Promise((resolve) => {
      socket.on("error", (error) => this.close(error.message))
      socket.on("end", () => this.close("the peer closed the channel"))
      socket.on("close", () => resolve(this.#reason ?? "the channel was closed"))
    })
  }

  /** Numeric address of the process at the other end. */
  get peerHost(): string {
    return this.#socket.remoteAddress ?? ""
  }

  get open(): boolean {
    return this.#reason === undefined
  }

  /** What comes from here on goes to `listener`; undefined keeps it for the next one. What it throws ends the channel. */
  listen(listener: ((message: unknown) => void) | undefined): void {
    this.#listener = listener
    if (listener === undefined) return
    try {
      for (const message of this.#unheard.splice(0)) this.#give(message)
    } catch (thrown) {
      this.#failed(thrown)
    }
  }

  send(message: object): void {
    if (this.#reason !== undefined) return
    this.#socket.write(packMessage(message))
    if (this.#socket.writableLength > unsentBytesMax) {
      this.close(`the peer left ${this.#socket.writableLength} bytes unread`)
      this.#socket.destroy()
    }
  }

  /** Ends it; what was sent before still goes out. The first reason stays. */
  close(reason: string): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#socket.destroySoon()
  }

  #receive(bytes: Buffer): void {
    this.#splitter.push(bytes)
    while (this.#reason === undefined) {
      try {
        const message = this.#splitter.next()
        if (message === undefined) return
        this.#give(message)
      } catch (thrown) {
        this.#failed(thrown)
      }
    }
  }

  #give(message: unknown): void {
    if (this.#listener === undefined) this.#unheard.push(message)
    else this.#listener(message)
  }

  #failed(thrown: unknown): void {
    this.close(thrown instanceof Error ? thrown.message : String(thrown))
  }
}
