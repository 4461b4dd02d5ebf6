import { assert } from "../../errors/assert.ts"

/** A file of an archive. */
export interface TarFile {
  /** Below the archive's root, with `/` between folders; at most 100 bytes. */
  readonly path: string
  readonly bytes: Uint8Array
}

const blockBytes = 512

/**
 * Files as one archive that every tar reads: plain files of nobody, read and written by their owner, all of one moment.
 * @see POSIX.1-2017, pax, "ustar Interchange Format"
 */
export function tarOf(files: readonly TarFile[], modified: Date): Buffer {
  const seconds = Math.max(0, Math.floor(modified.getTime() / 1000))
  const parts = files.flatMap(({ path, bytes }) => [
    header(path, bytes.byteLength, seconds),
    bytes,
    Buffer.alloc((blockBytes - (bytes.byteLength % blockBytes)) % blockBytes),
  ])
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)])
}

function header(path: string, size: number, seconds: number): Buffer {
  const block = Buffer.alloc(blockBytes)
  assert(Buffer.byteLength(path) <= 100, "a path of an archive of ours is short")
  block.write(path, 0, 100, "utf8")
  octal(block, 100, 8, 0o644)
  octal(block, 108, 8, 0)
  octal(block, 116, 8, 0)
  octal(block, 124, 12, size)
  octal(block, 136, 12, seconds)
  block.write("0", 156, "latin1")
  block.write("ustar\u000000", 257, "latin1")
  // The checksum is that of the header with spaces in the checksum's own place.
  block.fill(" ", 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, "0")}\u0000 `, 148, "latin1")
  return block
}

function octal(block: Buffer, at: number, length: number, value: number): void {
  block.write(`${value.toString(8).padStart(length - 1, "0")}\u0000`, at, "latin1")
}
