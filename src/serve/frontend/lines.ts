/** The lines of a byte stream outgrew `maxBytes` without an end. */
export class LineTooLong extends Error {
  override readonly name = "LineTooLong"
}

/**
 * Splits a byte stream into lines and yields those that one read completed together, without their ends.
 *
 * A last line without its end is dropped: its sender was cut off.
 * @throws LineTooLong when a line has more than `maxBytes`
 */
export async function* readLines(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<string[]> {
  let open: Buffer[] = []
  let openBytes = 0
  for await (const chunk of source) {
    const lines: string[] = []
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      lines.push(Buffer.concat([...open, chunk.subarray(start, end)]).toString("utf8"))
      open = []
      openBytes = 0
      start = end + 1
    }
    if (start < chunk.length) {
      open.push(chunk.subarray(start))
      openBytes += chunk.length - start
    }
    if (openBytes > maxBytes) throw new LineTooLong(`a line of more than ${maxBytes} bytes`)
    if (lines.length > 0) yield lines
  }
}
