import { ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { osError } from "./os-error.ts"

/**
 * Many descriptors that others own, as one that is readable while any of them is.
 *
 * @see epoll(7): level-triggered, so whoever waits must take the events away where they came from.
 */
export class DescriptorSet {
  readonly descriptor: number
  readonly #memory = new ControlMemory(4096)
  readonly #event
  readonly #members = new Set<number>()

  /** @throws KvError KV_OS. */
  constructor() {
    this.#event = this.#memory.take(16)
    this.descriptor = libc.epoll_create1(abi.EPOLL_CLOEXEC)
    if (this.descriptor < 0)
      throw osError("epoll_create1", errno(), { what: "no set of descriptors could be made" })
  }

  /** @throws KvError KV_OS. */
  add(descriptor: number): void {
    this.#event.u32[0] = abi.EPOLLIN
    if (libc.epoll_ctl(this.descriptor, abi.EPOLL_CTL_ADD, descriptor, this.#event.address) !== 0) {
      throw osError("epoll_ctl", errno(), { what: `descriptor ${descriptor} cannot be waited on` })
    }
    this.#members.add(descriptor)
  }

  /** Safe to call for one that is not in the set. */
  remove(descriptor: number): void {
    if (!this.#members.delete(descriptor)) return
    libc.epoll_ctl(this.descriptor, abi.EPOLL_CTL_DEL, descriptor, this.#event.address)
  }

  close(): void {
    libc.close(this.descriptor)
    this.#memory[Symbol.dispose]()
  }
}
