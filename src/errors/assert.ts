/** Stops on a broken invariant of ours: a mistake in this code base, never an error of the world. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message)
}

/** A broken invariant of ours. Please report it: no input should be able to cause one. */
export class AssertionFailed extends Error {
  override readonly name = "AssertionFailed"

  constructor(message: string) {
    super(`broken invariant: ${message}`)
  }
}

/** Names the branch that cannot be reached, so that a new union member fails to compile. */
export function unreachable(value: never, message: string): never {
  throw new AssertionFailed(`${message}: ${String(value)}`)
}
