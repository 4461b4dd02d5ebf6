import { assert } from "../errors/assert.ts"
import { KvError } from "../errors/kv-error.ts"
import type { Moved, MoveRequest, PostOptions, PreparedMove } from "./transport.ts"

/** A prepared move that is carried out anew by `run` at each post. For fabrics that have nothing to prepare. */
export function preparedByRunning(
  request: MoveRequest,
  run: (request: MoveRequest, options: PostOptions) => Promise<Moved>,
): PreparedMove {
  const posts = new OnePost()
  return {
    post: (options) => posts.run(options, () => run(request, options)),
    [Symbol.asyncDispose]: () => posts.ended,
  }
}

/** Lets one post of a prepared move run at a time: two would write the same bytes into the same place. */
export class OnePost {
  #running: Promise<void> | undefined

  /** Resolves when nothing is under way. */
  get ended(): Promise<void> {
    return this.#running ?? Promise.resolve()
  }

  async run(options: PostOptions, action: () => Promise<Moved>): Promise<Moved> {
    this.check(options)
    const running = action()
    const over = (): void => {
      this.#running = undefined
    }
    this.#running = running.then(over, over)
    return running
  }

  /**
   * What holds before every post, also of one that is over before it returns.
   * @throws KvError KV_USAGE, KV_CANCELLED.
   */
  check(options: PostOptions): void {
    assert(!Number.isNaN(options.deadline), "a move has a deadline: without one nothing would ever end it")
    if (this.#running !== undefined) {
      throw new KvError("KV_USAGE", {
        what: "a prepared move was posted while its last post was under way",
        next: "wait for the last one, or prepare another",
      })
    }
    if (options.signal?.aborted === true) {
      throw new KvError("KV_CANCELLED", { what: "the transfer was cancelled before it began" })
    }
  }
}
