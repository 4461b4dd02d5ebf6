import { KvError, type KvErrorText } from "../errors/kv-error.ts"
import type { Clock } from "./control-network.ts"

/** What ends a wait early. */
export interface Waiter {
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Waits for `wanted`, but not beyond the deadline or the cancel of the one who waits: for work that heeds neither.
 *
 * The work itself goes on; it must be of the kind that may, such as reading.
 * @param what the work, for the error: "the hashing of 40 blocks".
 * @param late what the error at the deadline says.
 * @throws KvError KV_DEADLINE, KV_CANCELLED, or what `wanted` rejects with.
 */
export function untilOver<T>(
  wanted: Promise<T>,
  { deadline, signal }: Waiter,
  clock: Clock,
  what: string,
  late: KvErrorText = {
    what: `${what} was not over before its deadline`,
    next: "allow it more time (timeoutMillis), or end sooner",
  },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void): void => {
      cancelTimer()
      signal?.removeEventListener("abort", cancel)
      action()
    }
    const cancel = (): void =>
      settle(() => reject(new KvError("KV_CANCELLED", { what: `${what} was cancelled` })))
    const cancelTimer = clock.after(Math.max(0, deadline - clock.now()), () =>
      settle(() => reject(new KvError("KV_DEADLINE", late))),
    )
    // A signal that was given before tells nobody again.
    if (signal?.aborted === true) cancel()
    else signal?.addEventListener("abort", cancel, { once: true })
    wanted.then(
      (value) => settle(() => resolve(value)),
      (thrown: unknown) => settle(() => reject(thrown)),
    )
  })
}
