import type { MemorySpan } from "../memory/host-memory.ts"
import { libc } from "./ffi/libc.ts"

/**
 * Copies `length` bytes between two spans; overlap is allowed.
 * @throws KvError KV_REGION_BOUNDS when either range is not inside its span.
 */
export function copyBytes(
  source: MemorySpan,
  sourceOffset: number,
  target: MemorySpan,
  targetOffset: number,
  length: number,
): void {
  libc.memmove(target.addressOf(targetOffset, length), source.addressOf(sourceOffset, length), length)
}
