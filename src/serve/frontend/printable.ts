/** Longest piece of a stranger's text that is repeated in a message. */
const SHOWN_CHARS = 64

/**
 * A stranger's text, quoted so that it can stand in an error message or a log line: shortened, and with
 * everything escaped that could start a line, move a cursor or turn the direction of writing.
 */
export function printable(value: unknown, shownChars: number = SHOWN_CHARS): string {
  // Never JSON.stringify of what a client nested: a deep enough body would overflow the stack.
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === "object" && value !== null) return "an object"
  if (typeof value !== "string") return String(value)
  // Cut before quoting: a long string is not worth escaping to its end.
  const shown = shorten(value, shownChars)
  return JSON.stringify(shown).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`,
  )
}

function shorten(text: string, shownChars: number): string {
  return text.length <= shownChars ? text : `${text.slice(0, shownChars)}… (${text.length} characters)`
}
