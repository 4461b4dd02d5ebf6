/**
 * What a process wrote for a terminal, as plain lines: without the sequences that colour or move a cursor, and of a line
 * that was written over only what stood there last.
 * @see ECMA-48, section 5.4; operating system commands end with BEL or ST.
 */
export function plainLog(text: string): string {
  return text
    .replace(sequence, "")
    .replaceAll("\r\n", "\n")
    .replace(/[^\n]*\r(?!\n)/g, "")
    .trimEnd()
}

const sequence = new RegExp(
  [
    "\\u001b\\[[0-?]*[ -/]*[@-~]",
    "\\u001b\\][^\\u0007\\u001b]*(?:\\u0007|\\u001b\\\\)?",
    "\\u001b[ -/]*[0-Z^-~]",
  ].join("|"),
  "g",
)
