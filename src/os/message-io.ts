import type { ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"

const high = 2 ** 32

/** Most iovecs that one call takes. */
export const iovecsMax = abi.IOV_MAX

/**
 * One message header with its iovecs, reused for every `sendmsg` and `recvmsg` of a thread.
 *
 * The caller has checked every address against a live span before it adds it.
 */
export class MessageIo {
  readonly #header: ControlBlock
  readonly #iovecs: ControlBlock
  #count = 0
  #bytes = 0

  constructor(memory: ControlMemory) {
    this.#header = memory.take(abi["sizeof.msghdr"])
    this.#iovecs = memory.take(iovecsMax * abi["sizeof.iovec"])
    const { address } = this.#iovecs
    const at = abi["msghdr.msg_iov"] / 4
    this.#header.u32[at] = address % high
    this.#header.u32[at + 1] = Math.floor(address / high)
  }

  static readonly controlBytes = 128 + iovecsMax * 16

  get bytes(): number {
    return this.#bytes
  }

  get full(): boolean {
    return this.#count === iovecsMax
  }

  /** Starts a new list. */
  clear(): void {
    this.#count = 0
    this.#bytes = 0
  }

  /** Adds `length` bytes at `address`. */
  add(address: number, length: number): void {
    const words = this.#iovecs.u32
    const at = this.#count * 4
    // Not with %: on numbers above 2^31 that is a call into the C library, and this runs for each piece.
    const [addressTop, lengthTop] = [Math.floor(address / high), Math.floor(length / high)]
    words[at] = address - addressTop * high
    words[at + 1] = addressTop
    words[at + 2] = length - lengthTop * high
    words[at + 3] = lengthTop
    this.#count += 1
    this.#bytes += length
  }

  /** Copies `length` bytes at `source` to the front of the listed memory, as if they had been received. */
  scatter(source: number, length: number): void {
    const words = this.#iovecs.u32
    for (let at = 0, done = 0; done < length; at += 4) {
      const part = Math.min(words[at + 2]! + words[at + 3]! * high, length - done)
      libc.memmove(words[at]! + words[at + 1]! * high, source + done, part)
      done += part
    }
  }

  /** Sends from the listed memory. Returns the bytes that went, or a negative errno. */
  send(fd: number): number {
    this.#header.u32[abi["msghdr.msg_iovlen"] / 4] = this.#count
    const sent = libc.sendmsg(fd, this.#header.address, abi.MSG_NOSIGNAL | abi.MSG_DONTWAIT)
    return sent < 0 ? -errno() : sent
  }

  /** Receives into the listed memory. Returns the bytes that came, 0 at the stream's end, or a negative errno. */
  receive(fd: number): number {
    this.#header.u32[abi["msghdr.msg_iovlen"] / 4] = this.#count
    const received = libc.recvmsg(fd, this.#header.address, abi.MSG_DONTWAIT)
    return received < 0 ? -errno() : received
  }
}

/** True for the errnos that mean "later": nothing there yet, no room yet, or a signal came. */
export const wouldBlock = (negativeErrno: number): boolean =>
  negativeErrno === -abi.EAGAIN || negativeErrno === -abi.EINTR
