import assert from "node:assert/strict"
import { gunzipSync } from "node:zlib"

/** Files of a `.tar.gz` by their paths, read by the standard and not by what wrote them. */
export function untar(packed: Uint8Array): Map<string, Buffer> {
  const archive = gunzipSync(packed)
  const files = new Map<string, Buffer>()
  let at = 0
  for (; archive[at] !== 0; ) {
    const header = archive.subarray(at, at + 512)
    const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0)
    assert.equal(Number.parseInt(header.toString("latin1", 148, 154), 8), sum, "checksum")
    assert.equal(header.toString("latin1", 257, 265), "ustar\u000000")
    const size = Number.parseInt(header.toString("latin1", 124, 135), 8)
    const path = header.toString("utf8", 0, 100).split("\u0000")[0]!
    files.set(path, archive.subarray(at + 512, at + 512 + size))
    at += 512 + Math.ceil(size / 512) * 512
  }
  assert.equal(archive.byteLength - at, 1024, "two empty blocks at the end")
  return files
}
