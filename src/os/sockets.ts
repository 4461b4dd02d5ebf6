import { isIPv4, isIPv6 } from "node:net"
import { KvError } from "../errors/kv-error.ts"
import type { ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

const socketFlags = abi.SOCK_STREAM | abi.SOCK_NONBLOCK | abi.SOCK_CLOEXEC
const scratchBytes = 256
/**
 * Socket buffers of a stream that never leaves this machine, in bytes; the kernel doubles them.
 *
 * Left alone they grow to megabytes, and what waits in them has left the cache when it is copied out again. There is
 * no distance to fill, so small ones are faster: 5.5 against 4.6 GB/s over one stream (docs/decisions/0014).
 */
const localBufferBytes = 256 * 1024

/** Where the two names of a stream are read to, each with its length in the four bytes before it. */
const nameAt = 64
const peerAt = 160
const nameBytes = 64

/** Nonblocking stream sockets of one thread. Addresses are numeric; names are resolved before they come here. */
export class Sockets {
  readonly #scratch: ControlBlock

  constructor(memory: ControlMemory) {
    this.#scratch = memory.take(scratchBytes)
  }

  /**
   * Listens on `host:port`; port 0 takes a free one.
   * @throws KvError KV_PORT_IN_USE, KV_OS.
   */
  listen(host: string, port: number): { readonly fd: number; readonly port: number } {
    const fd = this.#open(host)
    try {
      this.#option(fd, abi.SOL_SOCKET, abi.SO_REUSEADDR, 1)
      const length = this.#address(host, port)
      if (libc.bind(fd, this.#scratch.address, length) !== 0 || libc.listen(fd, 128) !== 0) {
        const code = errno()
        throw osError(
          "bind",
          code,
          { what: `cannot listen on ${host} port ${port}`, next: "choose another port, or 0 for a free one" },
          code === abi.EADDRINUSE ? "KV_PORT_IN_USE" : "KV_OS",
        )
      }
      return { fd, port: this.#boundPort(fd) }
    } catch (thrown) {
      libc.close(fd)
      throw thrown
    }
  }

  /** The next waiting connection, or a negative errno: EAGAIN when there is none. */
  accept(listener: number): number {
    const fd = libc.accept4(listener, 0, 0, abi.SOCK_NONBLOCK | abi.SOCK_CLOEXEC)
    if (fd < 0) return -errno()
    this.#option(fd, abi.IPPROTO_TCP, abi.TCP_NODELAY, 1)
    this.fitToPeer(fd)
    return fd
  }

  /**
   * Starts to connect; the socket turns writable when that has ended, see `connectError`.
   * @throws KvError KV_PEER_UNREACHABLE; KV_USAGE when `host` is not a numeric address.
   */
  connect(host: string, port: number): number {
    const fd = this.#open(host)
    try {
      this.#option(fd, abi.IPPROTO_TCP, abi.TCP_NODELAY, 1)
      if (libc.connect(fd, this.#scratch.address, this.#address(host, port)) === 0) return fd
      const code = errno()
      if (code === abi.EINPROGRESS) return fd
      throw osError("connect", code, { what: `cannot reach ${host} port ${port}` }, "KV_PEER_UNREACHABLE")
    } catch (thrown) {
      libc.close(fd)
      throw thrown
    }
  }

  /** The errno that a connect ended with; 0 when it is up. */
  connectError(fd: number): number {
    const { address, u32 } = this.#scratch
    u32[0] = 0
    u32[1] = 4
    if (libc.getsockopt(fd, abi.SOL_SOCKET, abi.SO_ERROR, address, address + 4) !== 0) return errno()
    return u32[0]
  }

  /** Gives a connected stream short buffers when its peer is on this machine; others keep the kernel's own sizing. */
  fitToPeer(fd: number): void {
    if (!this.#sameMachine(fd)) return
    this.#option(fd, abi.SOL_SOCKET, abi.SO_SNDBUF, localBufferBytes)
    this.#option(fd, abi.SOL_SOCKET, abi.SO_RCVBUF, localBufferBytes)
  }

  close(fd: number): void {
    libc.close(fd)
  }

  /** True when both ends of a stream have one address: packets between them stay in this kernel. */
  #sameMachine(fd: number): boolean {
    const { address, u8, u32 } = this.#scratch
    u8.fill(0)
    u32[nameAt / 4 - 1] = nameBytes
    u32[peerAt / 4 - 1] = nameBytes
    if (libc.getsockname(fd, address + nameAt, address + nameAt - 4) !== 0) return false
    if (libc.getpeername(fd, address + peerAt, address + peerAt - 4) !== 0) return false
    const six = u8[nameAt]! + u8[nameAt + 1]! * 256 === abi.AF_INET6
    const at = six ? abi["sockaddr_in6.sin6_addr"] : abi["sockaddr_in.sin_addr"]
    for (let i = at; i < at + (six ? 16 : 4); i++) if (u8[nameAt + i] !== u8[peerAt + i]) return false
    return true
  }

  #open(host: string): number {
    const fd = libc.socket(isIPv6(host) ? abi.AF_INET6 : abi.AF_INET, socketFlags, 0)
    if (fd < 0) throw osError("socket", errno(), { what: "no socket could be made" })
    return fd
  }

  #option(fd: number, level: number, name: number, value: number): void {
    this.#scratch.u32[0] = value
    libc.setsockopt(fd, level, name, this.#scratch.address, 4)
  }

  #boundPort(fd: number): number {
    const { address, u32, data } = this.#scratch
    u32[16] = 64
    if (libc.getsockname(fd, address, address + 64) !== 0) {
      throw osError("getsockname", errno(), { what: "the port of a listening socket could not be read" })
    }
    return data.getUint16(abi["sockaddr_in.sin_port"], false)
  }

  /** Writes a socket address into the scratch block. Returns its length in bytes. */
  #address(host: string, port: number): number {
    const { u8, data } = this.#scratch
    u8.fill(0)
    if (isIPv4(host)) {
      data.setUint16(abi["sockaddr_in.sin_family"], abi.AF_INET, true)
      data.setUint16(abi["sockaddr_in.sin_port"], port, false)
      u8.set(host.split(".").map(Number), abi["sockaddr_in.sin_addr"])
      return abi["sizeof.sockaddr_in"]
    }
    if (!isIPv6(host)) {
      throw new KvError("KV_USAGE", { what: `${JSON.stringify(host)} is not a numeric IPv4 or IPv6 address` })
    }
    data.setUint16(abi["sockaddr_in6.sin6_family"], abi.AF_INET6, true)
    data.setUint16(abi["sockaddr_in6.sin6_port"], port, false)
    u8.set(ipv6Bytes(host), abi["sockaddr_in6.sin6_addr"])
    return abi["sizeof.sockaddr_in6"]
  }
}

/** The 16 bytes of a valid IPv6 address, `::` and an embedded IPv4 tail included; a zone is dropped. */
export function ipv6Bytes(text: string): number[] {
  const bare = text.split("%")[0]!
  const [head = "", tail] = bare.split("::")
  const front = groups(head)
  const back = tail === undefined ? [] : groups(tail)
  const gap = tail === undefined ? 0 : 16 - front.length - back.length
  return [...front, ...Array<number>(gap).fill(0), ...back]
}

function groups(part: string): number[] {
  if (part === "") return []
  return part.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
