/**
 * Writes a shared library in which every function answers one number.
 *
 * Engines are linked to the driver of a GPU. Where there is none they do not load, not even to move host memory. A library
 * of the same name whose functions all answer "no device" is enough for them. It is written as bytes, because a machine
 * that has an engine need not have a compiler.
 *
 * One segment to read and run holds all but the dynamic table, which the loader writes to.
 *
 * @see elf(5); System V ABI, chapter 5 (dynamic linking)
 */

import { type ElfMachine, elfSize, headerAt, machines, segment, tag } from "./elf.ts"

/** Instructions that answer `number`, and nothing else. */
const answering: Readonly<Record<ElfMachine, (number: number) => readonly number[]>> = {
  // mov eax, number; ret
  x64: (number) => [0xb8, ...littleEndian(number), 0xc3],
  // movz w0, number; ret
  arm64: (number) => [...littleEndian(0x5280_0000 + number * 32), ...littleEndian(0xd65f_03c0)],
}

/** No processor has larger pages; segments must not share one. */
const pageBytes = 0x1_0000
/** `p_flags` */
const access = { read: 4, write: 2, run: 1 } as const
/** `STB_GLOBAL` and `STT_FUNC` in `st_info`; any section that is not 0 in `st_shndx`. */
const globalFunction = 0x12
const anySection = 1
const sharedObject = 3

export interface StandIn {
  /** What programs ask the loader for: "libcuda.so.1". */
  readonly soname: string
  readonly functions: readonly string[]
  /** What each of them answers: 0 to 65,535. */
  readonly answer: number
  readonly machine: ElfMachine
}

/** The library's bytes. */
export function standInLibrary({ soname, functions, answer, machine }: StandIn): Buffer {
  const names = [...new Set(functions)]
  const strings = stringTable([soname, ...names])
  const headersEnd = elfSize.header + 4 * elfSize.programHeader
  const hash = hashTable(names)
  const code = Buffer.from(answering[machine](answer))
  const hashAt = headersEnd
  const symbolsAt = aligned(hashAt + hash.length, 8)
  const stringsAt = symbolsAt + (names.length + 1) * elfSize.symbol
  const codeAt = aligned(stringsAt + strings.bytes.length, 16)
  const codeEnd = codeAt + code.length
  const dynamicAt = aligned(codeEnd, 16)
  // The same place in its page as in the file, in a page of its own.
  const dynamicAddress = aligned(codeEnd, pageBytes) + dynamicAt
  const dynamic = dynamicTable([
    [tag.soname, strings.at(soname)],
    [tag.hash, hashAt],
    [tag.strings, stringsAt],
    [tag.symbols, symbolsAt],
    [tag.stringBytes, strings.bytes.length],
    [tag.symbolBytes, elfSize.symbol],
  ])
  const file = Buffer.alloc(dynamicAt + dynamic.length)
  fileHeader(machine).copy(file)
  const segments: readonly SegmentRow[] = [
    { type: segment.load, flags: access.read | access.run, at: 0, bytes: codeEnd, align: pageBytes },
    {
      type: segment.load,
      flags: access.read | access.write,
      at: dynamicAt,
      address: dynamicAddress,
      bytes: dynamic.length,
      align: pageBytes,
    },
    {
      type: segment.dynamic,
      flags: access.read | access.write,
      at: dynamicAt,
      address: dynamicAddress,
      bytes: dynamic.length,
      align: 8,
    },
    // Without it the loader asks for a stack that can be run, which kernels refuse.
    { type: segment.stack, flags: access.read | access.write, at: 0, bytes: 0, align: 16 },
  ]
  segments.forEach((row, i) => {
    segmentRow(row).copy(file, elfSize.header + i * elfSize.programHeader)
  })
  hash.copy(file, hashAt)
  names.forEach((name, i) => {
    symbolRow(strings.at(name), codeAt, code.length).copy(file, symbolsAt + (i + 1) * elfSize.symbol)
  })
  strings.bytes.copy(file, stringsAt)
  code.copy(file, codeAt)
  dynamic.copy(file, dynamicAt)
  return file
}

function fileHeader(machine: ElfMachine): Buffer {
  const header = Buffer.alloc(elfSize.header)
  header.writeUInt32BE(0x7f45_4c46, 0)
  header[headerAt.class] = 2
  header[headerAt.data] = 1
  header[headerAt.version] = 1
  header.writeUInt16LE(sharedObject, headerAt.type)
  header.writeUInt16LE(machines[machine], headerAt.machine)
  header.writeUInt32LE(1, headerAt.fileVersion)
  header.writeBigUInt64LE(BigInt(elfSize.header), headerAt.programHeaders)
  header.writeUInt16LE(elfSize.header, headerAt.headerBytes)
  header.writeUInt16LE(elfSize.programHeader, headerAt.programHeaderBytes)
  header.writeUInt16LE(4, headerAt.programHeaderCount)
  return header
}

interface SegmentRow {
  readonly type: number
  readonly flags: number
  readonly at: number
  /** Where it is mapped; as in the file when absent. */
  readonly address?: number
  readonly bytes: number
  readonly align: number
}

/** `Elf64_Phdr` */
function segmentRow({ type, flags, at, address = at, bytes, align }: SegmentRow): Buffer {
  const row = Buffer.alloc(elfSize.programHeader)
  row.writeUInt32LE(type, 0)
  row.writeUInt32LE(flags, 4)
  row.writeBigUInt64LE(BigInt(at), 8)
  row.writeBigUInt64LE(BigInt(address), 16)
  row.writeBigUInt64LE(BigInt(address), 24)
  row.writeBigUInt64LE(BigInt(bytes), 32)
  row.writeBigUInt64LE(BigInt(bytes), 40)
  row.writeBigUInt64LE(BigInt(align), 48)
  return row
}

/** `Elf64_Sym` */
function symbolRow(name: number, address: number, bytes: number): Buffer {
  const row = Buffer.alloc(elfSize.symbol)
  row.writeUInt32LE(name, 0)
  row[4] = globalFunction
  row.writeUInt16LE(anySection, 6)
  row.writeBigUInt64LE(BigInt(address), 8)
  row.writeBigUInt64LE(BigInt(bytes), 16)
  return row
}

/** `Elf64_Dyn` rows, and the one that ends them. */
function dynamicTable(rows: readonly (readonly [tag: number, value: number])[]): Buffer {
  const table = Buffer.alloc((rows.length + 1) * elfSize.dynamic)
  rows.forEach(([name, value], i) => {
    table.writeBigUInt64LE(BigInt(name), i * elfSize.dynamic)
    table.writeBigUInt64LE(BigInt(value), i * elfSize.dynamic + 8)
  })
  return table
}

function stringTable(texts: readonly string[]): {
  readonly bytes: Buffer
  at(text: string): number
} {
  const places = new Map<string, number>()
  let length = 1
  for (const text of texts) {
    if (!/^[\x21-\x7e]+$/.test(text)) throw new RangeError(`${JSON.stringify(text)} is no name of a function`)
    places.set(text, length)
    length += text.length + 1
  }
  const bytes = Buffer.alloc(length)
  for (const [text, at] of places) bytes.write(text, at, "latin1")
  return { bytes, at: (text) => places.get(text)! }
}

/** The `DT_HASH` table: symbol i + 1 is `names[i]`. */
function hashTable(names: readonly string[]): Buffer {
  const buckets = new Uint32Array(Math.max(1, names.length))
  const chains = new Uint32Array(names.length + 1)
  names.forEach((name, i) => {
    const bucket = systemVHash(name) % buckets.length
    chains[i + 1] = buckets[bucket]!
    buckets[bucket] = i + 1
  })
  return Buffer.concat([
    Buffer.from([...littleEndian(buckets.length), ...littleEndian(chains.length)]),
    Buffer.from([...buckets, ...chains].flatMap(littleEndian)),
  ])
}

/** The hash of the System V ABI, chapter 5. */
function systemVHash(name: string): number {
  let hash = 0
  for (let i = 0; i < name.length; i++) {
    hash = ((hash << 4) >>> 0) + name.charCodeAt(i)
    const high = hash & 0xf000_0000
    hash = (hash ^ (high >>> 24)) & 0x0fff_ffff
  }
  return hash
}

const aligned = (value: number, to: number): number => Math.ceil(value / to) * to

function littleEndian(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff]
}
