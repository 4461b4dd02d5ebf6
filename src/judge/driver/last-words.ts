import { oneLine } from "../../terminal/one-line.ts"

const keptChars = 8192
const lineChars = 400

/** The end of what a process wrote to its standard error: bounded, and with nothing in it that a terminal would obey. */
export class LastWords {
  #tail = ""

  hear(chunk: Buffer): void {
    this.#tail = (this.#tail + chunk.toString("utf8")).slice(-keptChars)
  }

  get text(): string {
    return this.#tail
      .split(/\r?\n/)
      .map((line) => oneLine(line, lineChars))
      .filter((line) => line !== "")
      .join("\n")
  }
}
