import type { ControlMemory } from "./control-memory.ts"
import { openWakeUp, WakeUp } from "./wake-up.ts"

/** A doorbell as it crosses to the threads that ring and hear it. */
export interface SharedDoorbell {
  readonly fd: number
  readonly flag: SharedArrayBuffer
}

/** Makes a doorbell; its maker closes `fd`. @throws KvError KV_OS. */
export function openDoorbell(): SharedDoorbell {
  return { fd: openWakeUp(), flag: new SharedArrayBuffer(4) }
}

/**
 * Wakes one thread from others, also while it is at work: a flag that it can look at for nothing, and a descriptor
 * among those that it sleeps on.
 */
export class Doorbell {
  readonly #wakeUp: WakeUp
  readonly #flag: Int32Array

  constructor({ fd, flag }: SharedDoorbell, memory: ControlMemory) {
    this.#wakeUp = new WakeUp(fd, memory)
    this.#flag = new Int32Array(flag)
  }

  get fd(): number {
    return this.#wakeUp.fd
  }

  /** Many rings before the thread looks are one. */
  ring(): void {
    if (Atomics.exchange(this.#flag, 0, 1) === 0) this.#wakeUp.ring()
  }

  /** Whether somebody has rung. Ask before each sleep: the descriptor alone does not tell everything. */
  get rung(): boolean {
    return Atomics.load(this.#flag, 0) !== 0
  }

  hear(): void {
    Atomics.store(this.#flag, 0, 0)
    this.#wakeUp.hear()
  }

  close(): void {
    this.#wakeUp.close()
  }
}
