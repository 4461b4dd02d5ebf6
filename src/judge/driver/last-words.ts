import { plainLog } from "../../terminal/plain-log.ts"
import { engineLog } from "./engine-text.ts"

/** More than what is shown of it: colours take a large part of some logs. */
const keptBytes = 32_768
/** Of one line that never ended. */
const endlessChars = 300

/** The end of what a process wrote to its standard error: bounded, and plain lines. */
export class LastWords {
  #tail = Buffer.alloc(0)
  #cut = false

  hear(chunk: Buffer): void {
    const all = Buffer.concat([this.#tail, chunk])
    this.#cut ||= all.byteLength > keptBytes
    // A copy: a part of a large one would keep all of it.
    this.#tail = Buffer.from(all.subarray(-keptBytes))
  }

  get text(): string {
    const text = this.#tail.toString("utf8")
    if (!this.#cut) return engineLog(text)
    // It begins in the middle of a line, and maybe of a character.
    const end = text.indexOf("\n")
    if (end >= 0 && end < text.length - 1) return engineLog(text.slice(end + 1))
    return engineLog(`…${plainLog(text).slice(-endlessChars)}`)
  }
}
