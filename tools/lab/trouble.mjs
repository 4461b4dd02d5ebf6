/** Why the lab did not run a command, and the exit code that says so. */
export class Trouble extends Error {
  constructor(code, { what, why = "", next = "" }) {
    super(what)
    this.code = code
    this.what = what
    this.why = why
    this.next = next
  }

  /** Three lines at most: what, why, what to do next. */
  toString() {
    const lines = [`lab: ${this.what}`]
    if (this.why !== "") lines.push(`  why:  ${this.why}`)
    if (this.next !== "") lines.push(`  next: ${this.next}`)
    return lines.join("\n")
  }
}

/** Where the lab cannot run at all; the number is the one that test harnesses take for "skipped". */
export const cannotRun = 77

/** The last lines of what a guest said, without what a terminal would obey. */
export function lastLines(text, count) {
  const lines = text.replaceAll("\r", "").trim().split("\n").slice(-count)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return lines.map((line) => line.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "?")).join("\n        ")
}
