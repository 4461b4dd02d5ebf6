import { InvalidArgumentError } from "commander"

const microsIn: Readonly<Record<string, number>> = {
  us: 1,
  µs: 1,
  ms: 1e3,
  s: 1e6,
  m: 60e6,
  h: 3600e6,
  d: 86_400e6,
}

/** `10ms`, `1.5s`, `2h`; a bare number is microseconds. Returns microseconds, for commander. */
export function spanMicros(text: string): number {
  const micros = microsOf(text)
  if (micros !== undefined) return micros
  throw new InvalidArgumentError("It must be microseconds, or a number with us, ms, s, m, h or d.")
}

/** A span back from now (`90s`, `2h`), or a moment in ISO 8601. Returns milliseconds since 1970, for commander. */
export function momentMillis(text: string, now: number = Date.now()): number {
  const micros = /\D$/.test(text) ? microsOf(text) : undefined
  if (micros !== undefined) return now - micros / 1000
  const moment = /^\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-]\d{2}:?\d{2})?)?$/.test(text)
    ? Date.parse(text)
    : Number.NaN
  if (Number.isFinite(moment)) return moment
  throw new InvalidArgumentError(
    "It must be a span such as 90s, 10m or 2h, or a time such as 2026-11-20T19:25:00Z.",
  )
}

function microsOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)?$/.exec(text)
  if (match === null) return undefined
  const micros = Number(match[1]) * microsIn[match[2] ?? "us"]!
  return micros <= Number.MAX_SAFE_INTEGER ? micros : undefined
}
