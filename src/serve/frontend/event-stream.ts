import type { ServerResponse } from "node:http"

/** Server-sent events over a response: heads that no proxy buffers, and writes that wait for the reader. */
export class EventStream {
  readonly #outgoing: ServerResponse
  #opened = false

  constructor(outgoing: ServerResponse) {
    this.#outgoing = outgoing
  }

  /** True once the status line is on its way: from then on an error can only be an event. */
  get opened(): boolean {
    return this.#opened
  }

  /** Sets the head. It leaves with the next `write`, in one packet with the events of that. */
  open(): void {
    this.#opened = true
    this.#outgoing.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    })
  }

  /** Sends events in one write. Resolves when the client has room for more, or is gone. */
  write(events: readonly object[]): void | Promise<void> {
    if (this.#outgoing.destroyed) return
    if (events.length === 0) return this.#flushHead()
    const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
    if (!this.#outgoing.write(text)) return this.#drained()
  }

  /** Ends a stream that is complete. */
  done(events: readonly object[]): void {
    this.#outgoing.end(
      `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}data: [DONE]\n\n`,
    )
  }

  /** Ends a stream that failed: its last event says why, and there is no [DONE]. */
  fail(event: object): void {
    this.#outgoing.end(`data: ${JSON.stringify(event)}\n\n`)
  }

  #flushHead(): void {
    if (this.#opened) this.#outgoing.flushHeaders()
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        this.#outgoing.off("drain", settle).off("close", settle)
        resolve()
      }
      this.#outgoing.on("drain", settle).on("close", settle)
    })
  }
}
