import type { ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/** What a file descriptor is watched for. */
export const interest = { read: abi.POLLIN, write: abi.POLLOUT } as const

/** Waits on many file descriptors at once; the table is rebuilt for each wait. */
export class Poller {
  readonly #table: ControlBlock
  readonly #max: number
  #count = 0

  constructor(memory: ControlMemory, descriptorsMax: number) {
    this.#table = memory.take(descriptorsMax * abi["sizeof.pollfd"])
    this.#max = descriptorsMax
  }

  get full(): boolean {
    return this.#count === this.#max
  }

  clear(): void {
    this.#count = 0
  }

  /** Watches `fd`; returns its place in the table, for `ready`. */
  watch(fd: number, events: number): number {
    const at = this.#count * 2
    this.#table.u32[at] = fd
    this.#table.u32[at + 1] = events
    this.#count += 1
    return this.#count - 1
  }

  /** Blocks until something is ready or `timeoutMillis` has passed; -1 waits for ever. */
  wait(timeoutMillis: number): void {
    const found = libc.poll(this.#table.address, this.#count, timeoutMillis)
    if (found >= 0) return
    const code = errno()
    if (code !== abi.EINTR) throw osError("poll", code, { what: `waiting on ${this.#count} sockets failed` })
    for (let at = 0; at < this.#count; at++) this.#table.u32[at * 2 + 1]! &= 0xffff
  }

  /** What happened at `place`: bits of `interest`, or an error or hang-up (reported as readable and writable). */
  ready(place: number): number {
    const events = this.#table.u32[place * 2 + 1]! >>> 16
    const broken = events & (abi.POLLERR | abi.POLLHUP | abi.POLLNVAL)
    return broken === 0 ? events : events | interest.read | interest.write
  }
}
