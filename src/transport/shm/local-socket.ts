import { Socket } from "node:net"
import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import { type SocketPeer, socketPeer } from "../../os/local-sockets.ts"
import { encodeFrame, type Frame, FrameReader } from "./frames.ts"

/** Bytes that may wait to be sent: a peer that does not read is cut off. */
const unsentBytesMax = 64 * 1024

/** Who hears what comes over a socket. */
export interface SocketListener {
  frame(frame: Frame): void
  /** Once, and last: the other end hung up, or spoke nonsense, or we closed it. */
  closed(why: string): void
}

/** A local stream socket that speaks our frames. Files go over another one, that nobody reads in the background. */
export class LocalSocket {
  readonly fd: number
  readonly peer: SocketPeer | undefined
  /** Resolves when it is closed. */
  readonly gone: Promise<void>
  listener: SocketListener | undefined
  readonly #socket: Socket
  readonly #reader = new FrameReader()
  #why = "the other side hung up"

  constructor(socket: Socket, fd: number) {
    this.#socket = socket
    this.fd = fd
    this.peer = socketPeer(fd)
    socket.on("data", (chunk: Buffer) => this.#take(chunk))
    socket.on("error", (error) => {
      this.#why = error.message
    })
    this.gone = new Promise((resolve) => {
      socket.once("close", () => {
        resolve()
        this.listener?.closed(this.#why)
      })
    })
  }

  /** Takes over a connected socket that we opened. */
  static adopt(fd: number): LocalSocket {
    return new LocalSocket(new Socket({ fd, readable: true, writable: true }), fd)
  }

  /** Takes over a socket that Node's server accepted. */
  static accepted(socket: Socket): LocalSocket {
    // Not in Node's documents, and in every version of it: the descriptor, over which files are sent.
    const handle: unknown = Reflect.get(socket, "_handle")
    const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined
    assert(typeof fd === "number" && fd >= 0, "an accepted socket has a descriptor")
    return new LocalSocket(socket, fd)
  }

  get open(): boolean {
    return !this.#socket.destroyed
  }

  /** The other process in words. */
  get peerName(): string {
    return this.peer === undefined
      ? "a process that the kernel does not name"
      : `process ${this.peer.pid} of user ${this.peer.uid}`
  }

  send(frame: Frame): void {
    if (this.#socket.destroyed) return
    this.#socket.write(encodeFrame(frame))
    if (this.#socket.writableLength > unsentBytesMax) this.close("the other side does not read")
  }

  close(why: string): void {
    if (this.#socket.destroyed) return
    this.#why = why
    this.#socket.destroy()
  }

  /** Sends a last frame, then closes. Nothing that comes meanwhile is heard. */
  farewell(frame: Frame, why: string): void {
    this.#why = why
    this.listener = undefined
    this.#socket.end(encodeFrame(frame), () => this.#socket.destroy())
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.take(chunk)) if (this.open) this.listener?.frame(frame)
    } catch (thrown) {
      if (!(thrown instanceof KvError)) throw thrown
      this.close(thrown.message)
    }
  }
}
