/** Bytes `[start, end)` of a region that are not what they should be, with few right ones between them. */
export interface WrongRange {
  readonly start: number
  readonly end: number
}

/** What two images of a region have not in common. */
export interface Differences {
  /** In order. The last ones may be missing, never the first. */
  readonly ranges: readonly WrongRange[]
  /** All bytes that differ, also those of ranges that are missing. */
  readonly wrongBytes: number
}

const chunkBytes = 2 ** 14
/** A wrong byte is right by chance once in 256: gaps shorter than this do not part a range. */
const gapBytes = 16
const rangesMax = 8192

/** Compares every byte. Undefined when the images are equal. */
export function differencesBetween(expected: Uint8Array, found: Uint8Array): Differences | undefined {
  const [should, is] = [bufferOf(expected), bufferOf(found)]
  if (should.equals(is)) return undefined
  const ranges: { start: number; end: number }[] = []
  let wrongBytes = Math.abs(should.byteLength - is.byteLength)
  const length = Math.min(should.byteLength, is.byteLength)
  for (let chunk = 0; chunk < length; chunk += chunkBytes) {
    const end = Math.min(chunk + chunkBytes, length)
    if (should.compare(is, chunk, end, chunk, end) === 0) continue
    for (let at = chunk; at < end; at++) {
      if (should[at] === is[at]) continue
      wrongBytes += 1
      const last = ranges.at(-1)
      if (last !== undefined && at - last.end < gapBytes) last.end = at + 1
      else if (ranges.length < rangesMax) ranges.push({ start: at, end: at + 1 })
    }
  }
  if (length < should.byteLength) ranges.push({ start: length, end: should.byteLength })
  return { ranges, wrongBytes }
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
