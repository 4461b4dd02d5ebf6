import type { EventStream } from "./event-stream.ts"
import type { AnswerSink } from "./generate.ts"
import { type AnswerHead, roleChunk, textChunk } from "./openai-objects.ts"

/** Collects an answer that is sent whole. */
export class WholeSink implements AnswerSink {
  #text = ""

  /** All text so far. */
  get text(): string {
    return this.#text
  }

  open(): void {}

  write(pieces: readonly string[]): void {
    this.#text += pieces.join("")
  }
}

/** Sends an answer as it comes, one chunk per piece. */
export class StreamSink implements AnswerSink {
  readonly #events: EventStream
  readonly #head: AnswerHead
  readonly #includeUsage: boolean
  #toldRole = false

  constructor(events: EventStream, head: AnswerHead, includeUsage: boolean) {
    this.#events = events
    this.#head = head
    this.#includeUsage = includeUsage
  }

  open(): void {
    this.#events.open()
  }

  write(pieces: readonly string[]): void | Promise<void> {
    const chunks = pieces.map((piece) => textChunk(this.#head, piece))
    const role = this.#toldRole ? undefined : roleChunk(this.#head)
    this.#toldRole = true
    return this.#events.write(
      (role === undefined ? chunks : [role, ...chunks]).map((chunk) => this.marked(chunk)),
    )
  }

  /** With `include_usage` every chunk but the last says that it has none. */
  marked(chunk: object): object {
    return this.#includeUsage ? { ...chunk, usage: null } : chunk
  }
}
