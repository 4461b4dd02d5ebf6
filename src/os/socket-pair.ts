import { type ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

let pair: ControlBlock | undefined

/**
 * Makes two nonblocking stream sockets that are connected with each other. Each is its holder's to close.
 * @throws KvError KV_OS.
 */
export function openSocketPair(): readonly [number, number] {
  // Once for each thread: this runs to its end before anybody else calls it.
  pair ??= new ControlMemory(64).take(8)
  const flags = abi.SOCK_STREAM | abi.SOCK_NONBLOCK | abi.SOCK_CLOEXEC
  if (libc.socketpair(abi.AF_UNIX, flags, 0, pair.address) !== 0) {
    throw osError("socketpair", errno(), { what: "no pair of sockets could be made" })
  }
  return [pair.u32[0]!, pair.u32[1]!]
}

/** Closes one end of a pair. */
export function closeSocket(fd: number): void {
  libc.close(fd)
}
