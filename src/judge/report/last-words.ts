import { plainLog } from "../../terminal/plain-log.ts"

/** Characters of a log that a page shows: its end, where the reason stands. */
const charactersMax = 20_000

/** What a process wrote last, for people; of what is very long only the end. */
export function lastWords(log: string): string {
  const plain = plainLog(log)
  if (plain.length <= charactersMax) return plain
  const end = plain.slice(-charactersMax)
  const cut = end.indexOf("\n") + 1
  return `[${plain.length - end.length + cut} characters before this]\n${end.slice(cut)}`
}
