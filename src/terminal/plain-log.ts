/**
 * What a process wrote for a terminal, as plain lines: without the sequences that colour or move a cursor, and of a line
 * that was written over only what stood there last. Other control characters stay: whoever shows the text shows them as numbers.
 * @see ECMA-48, section 5.4 (control sequences) and 5.6 (control strings, which end with ST; xterm takes BEL, too).
 */
export function plainLog(text: string): string {
  return text.replace(sequence, "").split("\n").map(lastWritten).join("\n").trimEnd()
}

/** By hand: what expressions with `\r` at their end do to a long line without one takes the square of its length. */
function lastWritten(line: string): string {
  let end = line.length
  while (line[end - 1] === "\r") end--
  return line.slice(line.lastIndexOf("\r", end - 1) + 1, end)
}

const sequence = new RegExp(
  [
    // A string that nobody ends hides no more than its line.
    "(?:\\u001b[PX\\]^_]|[\\u0090\\u0098\\u009d-\\u009f])[^\\u0007\\u001b\\u009c\\n]*(?:\\u0007|\\u001b\\\\|\\u009c)?",
    "(?:\\u001b\\[|\\u009b)[0-?]*[ -/]*[@-~]",
    "\\u001b[ -/]*[0-Z\\\\^-~]",
  ].join("|"),
  "g",
)
