import { assert } from "../errors/assert.ts"
import type { ControlBlock } from "./control-memory.ts"
import { ControlMemory } from "./control-memory.ts"
import { listEntryBytes, writeListEntry } from "./copy-lists.ts"
import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import { errnoName } from "./os-error.ts"

/** Ranges that one look can gather. */
const rangesMax = 8

/** A run of another process's memory. */
export interface RemoteRange {
  readonly address: number
  readonly byteLength: number
}

/** What the kernel said to a look into another process: nothing, or an errno by its name. */
export type LookResult = "" | "ESRCH" | "EPERM" | "EFAULT" | (string & {})

/**
 * Small looks into the memory of another process, into a buffer of our own.
 *
 * An address over there is never followed here: a wrong one is EFAULT.
 * @see process_vm_readv(2)
 */
export class ProcessMemory implements Disposable {
  /** What the last look found: its ranges one behind the other. */
  readonly found: ControlBlock
  readonly #memory: ControlMemory
  readonly #ours: ControlBlock
  readonly #theirs: ControlBlock

  /** @param byteLength the most that one look gathers. */
  constructor(byteLength: number) {
    this.#memory = new ControlMemory(byteLength + (rangesMax + 1) * listEntryBytes + 4096)
    this.#ours = this.#memory.take(listEntryBytes)
    this.#theirs = this.#memory.take(rangesMax * listEntryBytes)
    this.found = this.#memory.take(byteLength)
  }

  /** Gathers ranges of process `pid` into `found`. */
  look(pid: number, ranges: readonly RemoteRange[]): LookResult {
    const bytes = this.#list(ranges)
    return answer(
      libc.process_vm_readv(pid, this.#ours.address, 1, this.#theirs.address, ranges.length, 0),
      bytes,
    )
  }

  /** Writes the first bytes of `found` into one range of process `pid`. */
  put(pid: number, range: RemoteRange): LookResult {
    const bytes = this.#list([range])
    return answer(libc.process_vm_writev(pid, this.#ours.address, 1, this.#theirs.address, 1, 0), bytes)
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]()
  }

  #list(ranges: readonly RemoteRange[]): number {
    assert(ranges.length <= rangesMax, "a look gathers a few ranges")
    let bytes = 0
    for (let i = 0; i < ranges.length; i++) {
      writeListEntry(this.#theirs.u32, i, ranges[i]!.address, ranges[i]!.byteLength)
      bytes += ranges[i]!.byteLength
    }
    assert(bytes <= this.found.byteLength, "a look fits its buffer")
    writeListEntry(this.#ours.u32, 0, this.found.address, bytes)
    return bytes
  }
}

function answer(moved: number, wanted: number): LookResult {
  if (moved === wanted) return ""
  return errnoName(moved < 0 ? errno() : abi.EFAULT)
}
