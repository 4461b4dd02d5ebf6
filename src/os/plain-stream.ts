/**
 * TCP streams on blocking calls, with nothing around them: what the benchmark holds a transport against.
 *
 * A thread that waits here hears nothing else. Use it in a process that may be killed at any moment.
 */
import type { ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { iovecsMax } from "./message-io.ts"
import { osError } from "./os-error.ts"

const high = 2 ** 32
const addressBytes = 64

/** Listens on a free port of the loopback address; `accept` blocks until somebody comes. */
export class PlainListener {
  readonly port: number
  readonly #fd: number
  readonly #options: ControlBlock

  constructor(memory: ControlMemory) {
    const block = memory.take(2 * addressBytes)
    this.#options = block
    this.#fd = openSocket()
    writeLoopback(block, 0)
    const length = abi["sizeof.sockaddr_in"]
    if (libc.bind(this.#fd, block.address, length) !== 0 || libc.listen(this.#fd, 16) !== 0) {
      throw osError("bind", errno(), { what: "cannot listen on 127.0.0.1" })
    }
    block.u32[addressBytes / 4] = length
    if (libc.getsockname(this.#fd, block.address, block.address + addressBytes) !== 0) {
      throw osError("getsockname", errno(), { what: "the port of a listening socket could not be read" })
    }
    this.port = block.data.getUint16(abi["sockaddr_in.sin_port"], false)
  }

  accept(): number {
    const fd = libc.accept4(this.#fd, 0, 0, abi.SOCK_CLOEXEC)
    if (fd < 0) throw osError("accept4", errno(), { what: "no connection could be taken" })
    sendAtOnce(fd, this.#options)
    return fd
  }
}

/** Connects to a port of the loopback address. */
export function connectPlain(memory: ControlMemory, port: number): number {
  const block = memory.take(addressBytes)
  const fd = openSocket()
  sendAtOnce(fd, block)
  writeLoopback(block, port)
  if (libc.connect(fd, block.address, abi["sizeof.sockaddr_in"]) === 0) return fd
  const code = errno()
  libc.close(fd)
  throw osError("connect", code, { what: `cannot reach 127.0.0.1 port ${port}` }, "KV_PEER_UNREACHABLE")
}

/** A list of places in memory, made once, and moved whole as often as wanted. */
export class PlainMessage {
  readonly #header: ControlBlock
  readonly #iovecs: ControlBlock
  readonly #count: number
  /** Bytes that were cut off the front of the place in work. */
  #cut = 0

  /** Control memory that a message of `places` places takes. */
  static controlBytes(places: number): number {
    return 64 + Math.ceil((places * abi["sizeof.iovec"]) / 64) * 64
  }

  /** The caller has checked every address against a live span. */
  constructor(
    memory: ControlMemory,
    places: readonly { readonly address: number; readonly length: number }[],
  ) {
    this.#header = memory.take(abi["sizeof.msghdr"])
    this.#iovecs = memory.take(places.length * abi["sizeof.iovec"])
    this.#count = places.length
    places.forEach(({ address, length }, place) => {
      this.#write(place, address, length)
    })
  }

  /** Sends every byte of the list. */
  sendAll(fd: number): void {
    this.#moveAll((header) => libc.sendmsg(fd, header, abi.MSG_NOSIGNAL), "sendmsg")
  }

  /** Receives until every place of the list is full; each call waits for its whole list. Returns false when the stream ended before its first byte. */
  receiveAll(fd: number): boolean {
    return this.#moveAll((header) => libc.recvmsg(fd, header, abi.MSG_WAITALL), "recvmsg")
  }

  #moveAll(call: (header: number) => number, name: string): boolean {
    const { address, u32 } = this.#header
    for (let first = 0; first < this.#count; ) {
      const start = this.#iovecs.address + first * abi["sizeof.iovec"]
      u32[abi["msghdr.msg_iov"] / 4] = start % high
      u32[abi["msghdr.msg_iov"] / 4 + 1] = Math.floor(start / high)
      u32[abi["msghdr.msg_iovlen"] / 4] = Math.min(iovecsMax, this.#count - first)
      const moved = call(address)
      if (moved < 0 && errno() === abi.EINTR) continue
      if (moved === 0 && first === 0 && this.#cut === 0) return false
      if (moved <= 0)
        throw osError(name, moved === 0 ? abi.ECONNRESET : errno(), { what: "a plain stream broke" })
      first = this.#advance(first, moved)
    }
    return true
  }

  /** Takes `moved` bytes off the list from place `first` on. Returns the next place; whole places are as before. */
  #advance(first: number, moved: number): number {
    const words = this.#iovecs.u32
    let place = first
    for (let left = moved; left > 0; ) {
      const length = words[place * 4 + 2]!
      if (left < length) {
        this.#write(place, this.#addressAt(place) + left, length - left)
        this.#cut += left
        return place
      }
      left -= length
      if (this.#cut > 0) {
        this.#write(place, this.#addressAt(place) - this.#cut, length + this.#cut)
        this.#cut = 0
      }
      place += 1
    }
    return place
  }

  #addressAt(place: number): number {
    return this.#iovecs.u32[place * 4]! + this.#iovecs.u32[place * 4 + 1]! * high
  }

  #write(place: number, address: number, length: number): void {
    const words = this.#iovecs.u32
    words[place * 4] = address % high
    words[place * 4 + 1] = Math.floor(address / high)
    words[place * 4 + 2] = length
    words[place * 4 + 3] = 0
  }
}

function openSocket(): number {
  const fd = libc.socket(abi.AF_INET, abi.SOCK_STREAM | abi.SOCK_CLOEXEC, 0)
  if (fd < 0) throw osError("socket", errno(), { what: "no socket could be made" })
  return fd
}

function sendAtOnce(fd: number, block: ControlBlock): void {
  block.u32[0] = 1
  libc.setsockopt(fd, abi.IPPROTO_TCP, abi.TCP_NODELAY, block.address, 4)
}

function writeLoopback({ u8, data }: ControlBlock, port: number): void {
  u8.fill(0)
  data.setUint16(abi["sockaddr_in.sin_family"], abi.AF_INET, true)
  data.setUint16(abi["sockaddr_in.sin_port"], port, false)
  u8.set([127, 0, 0, 1], abi["sockaddr_in.sin_addr"])
}
