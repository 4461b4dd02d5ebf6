/** Commands to a thread that it answers when it has carried them out. */
export class ThreadCalls {
  readonly #waiting = new Map<number, () => void>()
  #next = 1

  /** Sends a command under a fresh number; resolves when it was answered, or when the thread is gone. */
  ask(send: (call: number) => void): Promise<void> {
    const call = this.#next++
    return new Promise((resolve) => {
      this.#waiting.set(call, resolve)
      send(call)
    })
  }

  answered(call: number): void {
    this.#waiting.get(call)?.()
    this.#waiting.delete(call)
  }

  /** The thread is gone: nothing is waited for any more. */
  end(): void {
    for (const call of [...this.#waiting.keys()]) this.answered(call)
  }
}
