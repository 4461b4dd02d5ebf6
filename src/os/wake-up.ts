import type { ControlBlock, ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/** Makes a wake-up descriptor: one thread waits on it among its sockets, another rings. */
export function openWakeUp(): number {
  const fd = libc.eventfd(0, abi.EFD_CLOEXEC | abi.EFD_NONBLOCK)
  if (fd < 0) throw osError("eventfd", errno(), { what: "no wake-up descriptor could be made" })
  return fd
}

/** Rings and hears one wake-up descriptor from one thread. Its memory is a block of that thread's arena. */
export class WakeUp {
  readonly fd: number
  readonly #cell: ControlBlock

  constructor(fd: number, memory: ControlMemory) {
    this.fd = fd
    this.#cell = memory.take(8)
  }

  /** Wakes the thread that waits; many rings before it looks are one. */
  ring(): void {
    this.#cell.u32[0] = 1
    this.#cell.u32[1] = 0
    libc.write(this.fd, this.#cell.address, 8)
  }

  /** Takes back what was rung, so that the next wait blocks. */
  hear(): void {
    libc.read(this.fd, this.#cell.address, 8)
  }

  close(): void {
    libc.close(this.fd)
  }
}
