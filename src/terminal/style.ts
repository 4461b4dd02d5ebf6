import { styleText } from "node:util"

/** Writes words with meaning: colour where the stream shows it, plain text elsewhere. */
export interface Style {
  good(text: string): string
  bad(text: string): string
  strong(text: string): string
  faint(text: string): string
}

/** `NO_COLOR` wins, then `FORCE_COLOR`, then whether the stream is a terminal. */
export function styleFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Style {
  const forced = env["FORCE_COLOR"]
  const terminal = stream.isTTY === true && env["TERM"] !== "dumb"
  const on = (env["NO_COLOR"] ?? "") === "" && (forced === undefined ? terminal : forced !== "0")
  // The stream was looked at above. Newer versions of Node would look at standard output instead.
  const paint = (format: Parameters<typeof styleText>[0]) => (text: string) =>
    on ? styleText(format, text, { validateStream: false }) : text
  return { good: paint("green"), bad: paint("red"), strong: paint("bold"), faint: paint("gray") }
}

/**
 * Text from outside, safe on a terminal: control characters other than line ends are shown, not obeyed.
 */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, (control) =>
    control === "\n" || control === "\t"
      ? control
      : `\\x${control.codePointAt(0)!.toString(16).padStart(2, "0")}`,
  )
}
