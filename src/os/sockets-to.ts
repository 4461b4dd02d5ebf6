import { readdirSync } from "node:fs"
import { isIPv4 } from "node:net"
import { ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"

/**
 * Ends every TCP connection of this process to one address, whoever made it: both ends see the end of the stream.
 *
 * For a library that keeps its sockets to itself, and an address that belongs to nothing else.
 * @param address a `sockaddr_in` or `sockaddr_in6`.
 * @returns how many there were.
 */
export function shutSocketsTo(address: Uint8Array): number {
  using memory = new ControlMemory(4096)
  const name = memory.take(128)
  const length = memory.take(4)
  let count = 0
  for (const entry of readdirSync("/proc/self/fd")) {
    const fd = Number(entry)
    length.u32[0] = name.byteLength
    if (libc.getpeername(fd, name.address, length.address) !== 0) continue
    if (!sameSocketAddress(name.u8, address)) continue
    libc.shutdown(fd, abi.SHUT_RDWR)
    count += 1
  }
  return count
}

/** Compares family, port and address of two `sockaddr`; what else is in them does not count. */
export function sameSocketAddress(one: Uint8Array, other: Uint8Array): boolean {
  const family = one[0]! + one[1]! * 256
  const parts =
    family === abi.AF_INET
      ? [[0, abi["sockaddr_in.sin_addr"] + 4]]
      : family === abi.AF_INET6
        ? [
            [0, abi["sockaddr_in6.sin6_port"] + 2],
            [abi["sockaddr_in6.sin6_addr"], abi["sockaddr_in6.sin6_addr"] + 16],
          ]
        : undefined
  if (parts === undefined) return false
  return parts.every(([from, to]) => {
    for (let i = from!; i < to!; i++) if (one[i] !== other[i]) return false
    return other.byteLength >= to!
  })
}

/**
 * The address at which a socket is reached that listens on all IPv4 addresses: the same port, and the host's own address.
 * Any other address comes back as it is.
 */
export function reachedAt(address: Uint8Array, host: string): Uint8Array {
  const at = abi["sockaddr_in.sin_addr"]
  const everywhere =
    address[0]! + address[1]! * 256 === abi.AF_INET &&
    address.subarray(at, at + 4).every((byte) => byte === 0)
  if (!everywhere || !isIPv4(host)) return address
  const reached = Uint8Array.from(address)
  reached.set(host.split(".").map(Number), at)
  return reached
}
