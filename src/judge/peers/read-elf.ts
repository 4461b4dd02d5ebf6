import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { elfSize, headerAt, segment, tag } from "./elf.ts"

/** What a shared library wants of others. */
export interface ElfImports {
  /** Names of the libraries that the loader brings for it. */
  readonly needed: readonly string[]
  /** Functions and variables that it does not have itself. */
  readonly missing: readonly string[]
}

/** No library has more; a file that says so is damaged. */
const stringBytesMax = 64 * 2 ** 20
const symbolsMax = 2 ** 20

/**
 * The imports of a 64-bit little-endian shared library; undefined when `path` is none, or is damaged.
 *
 * Reads what the loader would read, not the sections: a stripped library has its dynamic segment still.
 *
 * @see elf(5)
 */
export function readElfImports(path: string): ElfImports | undefined {
  let fd: number
  try {
    fd = openSync(path, "r")
  } catch {
    return undefined
  }
  try {
    return importsOf(fd)
  } catch (thrown) {
    // A number in the file that points outside of it.
    if (thrown instanceof RangeError) return undefined
    throw thrown
  } finally {
    closeSync(fd)
  }
}

function importsOf(fd: number): ElfImports | undefined {
  const fileBytes = fstatSync(fd).size
  const bytesAt = (offset: number, length: number): Buffer => {
    if (length > fileBytes || offset > fileBytes - length) throw new RangeError("outside of the file")
    const bytes = Buffer.alloc(length)
    let got = 0
    while (got < length) {
      const more = readSync(fd, bytes, got, length - got, offset + got)
      if (more === 0) throw new RangeError("the file became shorter")
      got += more
    }
    return bytes
  }
  if (fileBytes < elfSize.header) return undefined
  const header = bytesAt(0, elfSize.header)
  const sixtyFourLittle =
    header.readUInt32BE(0) === 0x7f45_4c46 && header[headerAt.class] === 2 && header[headerAt.data] === 1
  if (!sixtyFourLittle) return undefined
  const segments = programHeaders(header, bytesAt)
  const place = (address: number): number => {
    const found = segments.find(
      ({ type, address: start, bytes }) =>
        type === segment.load && address >= start && address < start + bytes,
    )
    if (found === undefined) throw new RangeError("an address without a segment")
    return found.offset + address - found.address
  }
  const dynamic = segments.find(({ type }) => type === segment.dynamic)
  if (dynamic === undefined) return undefined
  const entries = dynamicEntries(bytesAt(dynamic.offset, dynamic.bytes))
  const one = (wanted: number): number | undefined => entries.find(([name]) => name === wanted)?.[1]
  const stringsAddress = one(tag.strings)
  const stringBytes = one(tag.stringBytes) ?? 0
  const symbolsAddress = one(tag.symbols)
  if (stringsAddress === undefined || symbolsAddress === undefined || stringBytes > stringBytesMax)
    return undefined
  const strings = bytesAt(place(stringsAddress), stringBytes)
  const needed = entries.filter(([name]) => name === tag.needed).map(([, at]) => text(strings, at))
  const count = symbolCount(one(tag.hash), one(tag.gnuHash), (address, length) =>
    bytesAt(place(address), length),
  )
  const symbols = bytesAt(place(symbolsAddress), count * elfSize.symbol)
  const missing: string[] = []
  for (let at = elfSize.symbol; at < symbols.length; at += elfSize.symbol) {
    // `st_shndx` 0 is SHN_UNDEF; symbols without a name are sections and files.
    if (symbols.readUInt16LE(at + 6) === 0 && symbols.readUInt32LE(at) !== 0)
      missing.push(text(strings, symbols.readUInt32LE(at)))
  }
  return { needed, missing }
}

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: number
  /** Bytes in the file. */
  readonly bytes: number
}

function programHeaders(header: Buffer, bytesAt: (offset: number, length: number) => Buffer): Segment[] {
  const count = header.readUInt16LE(headerAt.programHeaderCount)
  const table = bytesAt(word(header, headerAt.programHeaders), count * elfSize.programHeader)
  return Array.from({ length: count }, (_, i) => {
    const at = i * elfSize.programHeader
    return {
      type: table.readUInt32LE(at),
      offset: word(table, at + 8),
      address: word(table, at + 16),
      bytes: word(table, at + 32),
    }
  })
}

function dynamicEntries(table: Buffer): (readonly [tag: number, value: number])[] {
  const entries: (readonly [number, number])[] = []
  for (let at = 0; at + elfSize.dynamic <= table.length; at += elfSize.dynamic) {
    const name = Number(table.readBigUInt64LE(at))
    if (name === tag.end) break
    entries.push([name, Number(table.readBigUInt64LE(at + 8))])
  }
  return entries
}

/**
 * How many symbols are worth looking at. The old hash table says how many there are. The GNU one names the first symbol
 * that it finds: all that are missing here stand before it.
 */
function symbolCount(
  hash: number | undefined,
  gnuHash: number | undefined,
  bytesAt: (address: number, length: number) => Buffer,
): number {
  let count = 0
  if (hash !== undefined) count = bytesAt(hash, 8).readUInt32LE(4)
  else if (gnuHash !== undefined) count = bytesAt(gnuHash, 8).readUInt32LE(4)
  if (count > symbolsMax) throw new RangeError("more symbols than any library has")
  return count
}

function word(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError("an offset beyond any file")
  return Number(value)
}

function text(strings: Buffer, at: number): string {
  const end = strings.indexOf(0, at)
  if (at >= strings.length || end < 0) throw new RangeError("a name without an end")
  return strings.toString("latin1", at, end)
}
