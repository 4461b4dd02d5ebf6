import { libc } from "./ffi/libc.ts"
import { libcAbi as abi } from "./ffi/libc-abi.ts"
import { errno } from "./ffi/symbols.ts"
import type { ArenaViews } from "./shared-arena.ts"

const high = 2 ** 32
const entryWords = abi["sizeof.iovec"] / 4

/** Bytes of one entry of a list: an iovec, so that the kernel takes the lists as they are. */
export const listEntryBytes = abi["sizeof.iovec"]
/** Longest entry. A thread looks whether it was told to stop after at most twice as many bytes. */
export const entryLengthMax = 4 * 2 ** 20

/** Two lists of as many iovecs in an arena, as places in its `u32`; entry i of one goes to entry i of the other. */
export interface CopyLists {
  readonly source: number
  readonly target: number
}

/** Writes one entry of both lists. The caller has made the addresses from live spans. */
export function writeEntry(
  words: Uint32Array,
  { source, target }: CopyLists,
  entry: number,
  from: number,
  to: number,
  length: number,
): void {
  writeIovec(words, source + entry * entryWords, from, length)
  writeIovec(words, target + entry * entryWords, to, length)
}

/** Makes an entry `by` bytes longer at its end on both sides. Returns false when it would be too long. */
export function lengthenEntry(
  words: Uint32Array,
  { source, target }: CopyLists,
  entry: number,
  by: number,
): boolean {
  const length = words[target + entry * entryWords + 2]! + by
  if (length > entryLengthMax) return false
  words[source + entry * entryWords + 2] = length
  words[target + entry * entryWords + 2] = length
  return true
}

/** Writes entry `entry` of a list that is alone in `words`. */
export function writeListEntry(words: Uint32Array, entry: number, address: number, length: number): void {
  writeIovec(words, entry * entryWords, address, length)
}

function writeIovec(words: Uint32Array, at: number, address: number, length: number): void {
  const low = address >>> 0
  words[at] = low
  words[at + 1] = (address - low) / high
  words[at + 2] = length
  words[at + 3] = 0
}

/** A mapping of this process by its addresses, with its bytes unless they are more than 2 GiB: too many for one view. */
export interface AddressedBytes {
  readonly start: number
  readonly end: number
  readonly bytes: Uint8Array | undefined
}

const nowhere: AddressedBytes = { start: 0, end: 0, bytes: undefined }

/**
 * Copies the entries `[first, end)` within this process. Returns false when `stopped` said so on the way.
 *
 * Through views where an entry lies in mappings that are known, else by address: a foreign call between two short
 * copies keeps the processor from overlapping their memory accesses, which costs runs of 4 KiB a tenth of their speed.
 */
export function copyEntries(
  words: Uint32Array,
  { source, target }: CopyLists,
  first: number,
  end: number,
  mappings: readonly AddressedBytes[],
  stopped: () => boolean,
): boolean {
  let untilLook = entryLengthMax
  let [from, to] = [nowhere, nowhere]
  for (let entry = first; entry < end; entry++) {
    const [atSource, atTarget] = [source + entry * entryWords, target + entry * entryWords]
    const length = words[atTarget + 2]!
    const start = words[atSource]! + words[atSource + 1]! * high
    const goal = words[atTarget]! + words[atTarget + 1]! * high
    if (untilLook < length) {
      if (stopped()) return false
      untilLook = entryLengthMax
    }
    untilLook -= length
    // Neighbours in a list mostly lie in one mapping.
    if (start < from.start || start + length > from.end) from = holding(mappings, start, length)
    if (goal < to.start || goal + length > to.end) to = holding(mappings, goal, length)
    if (from.bytes === undefined || to.bytes === undefined) {
      libc.memmove(goal, start, length)
      continue
    }
    // As whole numbers of 32 bits: with others, the two calls are as slow as a foreign one.
    const at = (start - from.start) | 0
    to.bytes.set(from.bytes.subarray(at, at + length), (goal - to.start) | 0)
  }
  return true
}

function holding(mappings: readonly AddressedBytes[], address: number, length: number): AddressedBytes {
  for (const mapping of mappings) {
    if (address >= mapping.start && address + length <= mapping.end) return mapping
  }
  return nowhere
}

/** The other process of a copy, and which side's addresses are its own. */
export interface RemoteSide {
  readonly pid: number
  readonly side: "source" | "target"
}

/** Where and why a copy between processes failed. */
export interface FailedEntry {
  readonly errno: number
  readonly entry: number
}

/**
 * Copies the entries `[first, end)` between this process and another one, by the kernel.
 *
 * Returns true, or false when `stopped` said so on the way, or what failed: a wrong address over there is an errno
 * (EFAULT), never a crash. What lies before a failed entry has then been copied.
 * @see process_vm_readv(2)
 */
export function copyRemoteEntries(
  { pid, side }: RemoteSide,
  { address, u32: words }: ArenaViews,
  { source, target }: CopyLists,
  first: number,
  end: number,
  stopped: () => boolean,
): boolean | FailedEntry {
  const [call, ours, theirs] =
    side === "source"
      ? ([libc.process_vm_readv, target, source] as const)
      : ([libc.process_vm_writev, source, target] as const)
  let countMax: number = abi.IOV_MAX
  for (let at = first; at < end; ) {
    let count = 0
    let bytes = 0
    while (at + count < end && count < countMax && bytes < entryLengthMax) {
      bytes += words[ours + (at + count) * entryWords + 2]!
      count += 1
    }
    const skip = at * listEntryBytes
    const moved = call(pid, address + ours * 4 + skip, count, address + theirs * 4 + skip, count, 0)
    if (moved === bytes) {
      at += count
      countMax = abi.IOV_MAX
      if (at < end && stopped()) return false
      continue
    }
    if (moved < 0) return { errno: errno(), entry: at }
    if (count === 1) return { errno: abi.EFAULT, entry: at }
    // The kernel stopped before a byte that it could not reach. Asked for that entry alone, it says why.
    for (let rest = moved; rest >= words[ours + at * entryWords + 2]!; at++) {
      rest -= words[ours + at * entryWords + 2]!
    }
    countMax = 1
  }
  return true
}
