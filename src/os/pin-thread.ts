import { KvError } from "../errors/kv-error.ts"
import { ControlMemory } from "./control-memory.ts"
import { libc } from "./ffi/libc.ts"
import { errno } from "./ffi/symbols.ts"
import { errnoName } from "./os-error.ts"

/** Bytes of the C library's set of processors: 1,024 of them. */
const setBytes = 128
const callingThread = 0

/**
 * Keeps the calling thread on one processor from here on.
 * @throws KvError KV_USAGE for a processor that is not there, or that this process may not use.
 * @see sched_setaffinity(2)
 */
export function pinThread(processor: number): void {
  using memory = new ControlMemory(4096)
  const set = memory.take(setBytes)
  if (Number.isInteger(processor) && processor >= 0 && processor < setBytes * 8) {
    set.u32[Math.floor(processor / 32)] = 2 ** (processor % 32)
    if (libc.sched_setaffinity(callingThread, setBytes, set.address) === 0) return
  }
  throw new KvError("KV_USAGE", {
    what: `a thread was to run on processor ${processor}, and cannot`,
    why: `sched_setaffinity answered ${errnoName(errno())}: there is no such processor, or this process may not use it`,
    next: "see `taskset -cp $$` for the processors that it may use",
  })
}
