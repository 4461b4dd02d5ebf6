import type { Clock } from "../agent/control-network.ts"

/** Node fires a timer of more milliseconds at once: 24.8 days. */
const timerMillisMax = 2 ** 31 - 1

/** The machine's monotonic clock. Its timers do not keep a process alive. */
export const monotonicClock: Clock = {
  now: () => performance.now(),
  wallMillis: () => Date.now(),
  after: (millis, action) => {
    const timer = setTimeout(action, Math.min(millis, timerMillisMax))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** From `performance.now()` of this thread to the clock that all threads of a process share. */
const sharedOffsetMillis = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** The clock that all threads of a process share, in milliseconds: `performance.now()` differs between them. */
export const sharedMillis = (): number => performance.now() + sharedOffsetMillis

/** A moment of this thread's `performance.now()` as the shared clock counts it. */
export const toSharedMillis = (moment: number): number => moment + sharedOffsetMillis
