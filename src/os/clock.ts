import type { Clock } from "../agent/control-network.ts"

/** The machine's monotonic clock. Its timers do not keep a process alive. */
export const monotonicClock: Clock = {
  now: () => performance.now(),
  after: (millis, action) => {
    const timer = setTimeout(action, millis)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
