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
