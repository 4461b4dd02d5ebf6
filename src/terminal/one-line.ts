/**
 * Text from outside as one cell of a table: shortened, and with everything shown as a number that could start a line,
 * move a cursor, hide or turn the direction of writing.
 */
export function oneLine(text: string, charactersMax: number): string {
  // Cut before escaping: a long text is not worth escaping to its end. By code points, so that none is halved.
  const characters = [...text.slice(0, 2 * charactersMax + 2)]
  const short = characters.length <= charactersMax
  const shown = short ? text : `${characters.slice(0, charactersMax - 1).join("")}…`
  return shown.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
}

/** JSON that may stand on a terminal: what `JSON.stringify` leaves raw and a terminal would obey is escaped. */
export function terminalJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu, (char) =>
    [...Array(char.length).keys()].map((i) => `\\u${hex4(char.charCodeAt(i))}`).join(""),
  )
}

const hex4 = (code: number): string => code.toString(16).padStart(4, "0")
