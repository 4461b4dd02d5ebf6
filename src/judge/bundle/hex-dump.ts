const rowBytes = 16

/**
 * Two spans of equal length beside each other, 16 bytes a row: `!` before a row that differs, runs of equal rows as one
 * line. Offsets count from `offset`. At most `rowsMax` rows that differ.
 */
export function hexDump(expected: Uint8Array, found: Uint8Array, offset: number, rowsMax = 256): string[] {
  const lines = [`  ${"offset".padEnd(10)}  ${"expected".padEnd(rowBytes * 3)}  found`]
  const length = Math.min(expected.byteLength, found.byteLength)
  let equal = 0
  let shown = 0
  const flush = (): void => {
    if (equal > 0) lines.push(`  … ${equal} ${equal === 1 ? "row" : "rows"} as expected`)
    equal = 0
  }
  for (let at = 0; at < length; at += rowBytes) {
    const [want, have] = [expected.subarray(at, at + rowBytes), found.subarray(at, at + rowBytes)]
    if (Buffer.compare(want, have) === 0) {
      equal += 1
      continue
    }
    flush()
    if (shown === rowsMax) {
      lines.push(`  … and more from byte ${at} of these ${length} on`)
      return lines
    }
    shown += 1
    const address = (offset + at).toString(16).padStart(10, "0")
    lines.push(`! ${address}  ${hex(want).padEnd(rowBytes * 3)}  ${hex(have)}`)
  }
  flush()
  return lines
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte, i) => `${i === 8 ? " " : ""}${byte.toString(16).padStart(2, "0")}`).join(" ")
