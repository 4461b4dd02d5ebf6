/** Characters of a log that a page shows: its end, where the reason stands. */
const charactersMax = 20_000

/**
 * What a process wrote, as text for people: without the sequences that colour a terminal or move its cursor, lines that
 * were written over reduced to what was left of them, and only the end of what is very long.
 */
export function lastWords(log: string): string {
  const plain = log
    .replace(terminalSequence, "")
    .replaceAll("\r\n", "\n")
    .replace(/[^\n]*\r(?!\n)/g, "")
    .trimEnd()
  if (plain.length <= charactersMax) return plain
  const end = plain.slice(-charactersMax)
  const cut = end.indexOf("\n") + 1
  return `[${plain.length - end.length + cut} characters before this]\n${end.slice(cut)}`
}

/** @see ECMA-48, section 5.4; operating system commands end with BEL or ST. */
const terminalSequence = new RegExp(
  [
    "\\u001b\\[[0-?]*[ -/]*[@-~]",
    "\\u001b\\][^\\u0007\\u001b]*(?:\\u0007|\\u001b\\\\)?",
    "\\u001b[ -/]*[0-Z^-~]",
  ].join("|"),
  "g",
)
