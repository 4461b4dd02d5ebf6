import { oneLine } from "../../terminal/one-line.ts"
import { plainLog } from "../../terminal/plain-log.ts"

const lineChars = 400
const logChars = 8192

/** What an engine or its driver said, as one line of plain text: coloured words are words, and what else is no text is a number. */
export const engineLine = (text: string, charactersMax: number): string =>
  oneLine(plainLog(text), charactersMax)

/**
 * The end of what a process wrote, as plain lines. All logs of engines come in through here: whoever shows one, on a terminal, in a
 * document, a page or a bundle, need not look at it again.
 */
export function engineLog(log: string): string {
  const lines = plainLog(log)
    .split("\n")
    .map((line) => oneLine(line.replaceAll("\t", "  "), lineChars))
    .filter((line) => line.trim() !== "")
  let [from, chars] = [lines.length, 0]
  while (from > 0 && chars + lines[from - 1]!.length < logChars) chars += lines[--from]!.length + 1
  return lines.slice(from).join("\n")
}
