import { constants } from "node:fs"
import { open } from "node:fs/promises"
import { StringDecoder } from "node:string_decoder"

/** Longer lines are no receipts: they are skipped without being kept in memory. */
const lineBytesMax = 64 * 1024
const readBytes = 256 * 1024

/** What one look at a file brought. */
export interface Tail {
  /** Lines that were completed since the last look, without their ends. */
  readonly lines: readonly string[]
  /** Lines that were too long. */
  readonly skipped: number
}

/** Reads a file that grows, from its start, line by line. The file is opened for each look and never held. */
export class LogTail {
  readonly #path: string
  #inode = -1
  #offset = 0
  #open = ""
  #tooLong = false
  #decoder = new StringDecoder("utf8")

  constructor(path: string) {
    this.#path = path
  }

  /** True when the file ends in the middle of a line. */
  get torn(): boolean {
    return this.#open !== "" || this.#tooLong
  }

  /** Calls `take` with what came since the last look, piece by piece. @throws what `open` and `read` answer. */
  async look(take: (tail: Tail) => void): Promise<void> {
    // What is no plain file (a pipe, say) must not make us wait.
    const file = await open(this.#path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = await file.stat()
      if (!stat.isFile()) return
      if (stat.ino !== this.#inode || stat.size < this.#offset) this.#restart(stat.ino)
      const buffer = Buffer.alloc(Math.min(readBytes, Math.max(1, stat.size - this.#offset)))
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, this.#offset)
        if (bytesRead === 0) break
        this.#offset += bytesRead
        take(this.#split(this.#decoder.write(buffer.subarray(0, bytesRead))))
      }
    } finally {
      await file.close()
    }
  }

  #restart(inode: number): void {
    this.#inode = inode
    this.#offset = 0
    this.#open = ""
    this.#tooLong = false
    this.#decoder = new StringDecoder("utf8")
  }

  #split(text: string): Tail {
    const lines: string[] = []
    let skipped = 0
    let start = 0
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      const line = this.#open + text.slice(start, end)
      if (this.#tooLong || line.length > lineBytesMax) skipped += 1
      else if (line !== "") lines.push(line)
      this.#open = ""
      this.#tooLong = false
      start = end + 1
    }
    this.#open += text.slice(start)
    if (this.#open.length > lineBytesMax) {
      this.#open = ""
      this.#tooLong = true
    }
    return { lines, skipped }
  }
}
