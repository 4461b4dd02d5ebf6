import type { Socket } from "node:net"

/** Longest message, in bytes of JSON. */
const messageBytesMax = 256 * 1024
/** Bytes that may wait to be sent: a peer that asks and does not read is cut off. */
const unsentBytesMax = 4 * 2 ** 20
const headerBytes = 4

/**
 * Messages between the two ends of one RDMA connection, beside its lanes: JSON objects behind their length (32 bits, little-endian).
 *
 * It lives as long as the connection, and its end is the peer's end.
 */
export class SideChannel {
  /** Resolves with the reason when it has ended. */
  readonly ended: Promise<string>
  readonly #socket: Socket
  #unread: Buffer = Buffer.alloc(0)
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
    for (const message of this.#unheard.splice(0)) this.#give(message)
  }

  send(message: object): void {
    if (this.#reason !== undefined) return
    const body = Buffer.from(JSON.stringify(message))
    const header = Buffer.alloc(headerBytes)
    header.writeUInt32LE(body.byteLength)
    this.#socket.write(Buffer.concat([header, body]))
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
    this.#unread = this.#unread.byteLength === 0 ? bytes : Buffer.concat([this.#unread, bytes])
    while (this.#reason === undefined && this.#unread.byteLength >= headerBytes) {
      const length = this.#unread.readUInt32LE()
      if (length > messageBytesMax) return this.close(`the peer sent a message of ${length} bytes`)
      if (this.#unread.byteLength < headerBytes + length) return
      const body = this.#unread.subarray(headerBytes, headerBytes + length)
      this.#unread = this.#unread.subarray(headerBytes + length)
      let message: unknown
      try {
        message = JSON.parse(body.toString())
      } catch {
        return this.close("the peer sent what is no JSON")
      }
      this.#give(message)
    }
  }

  #give(message: unknown): void {
    if (this.#listener === undefined) {
      this.#unheard.push(message)
      return
    }
    try {
      this.#listener(message)
    } catch (thrown) {
      this.close(thrown instanceof Error ? thrown.message : String(thrown))
    }
  }
}
