/** A number of things: "1 token", "2 tokens". */
export function countText(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`
}

/** A size as people read it: bytes, KiB, MiB or GiB. */
export function sizeText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : threeDigits(value)} ${units[unit]}`
}

/** A span as people read it: µs, ms or s. */
export function timeText(micros: number): string {
  // Compared as they will be shown: 999.6 µs is a millisecond, not 1000 µs.
  if (Math.round(micros) < 1000) return `${Math.round(micros)} µs`
  return micros < 999_500 ? `${threeDigits(micros / 1000)} ms` : `${threeDigits(micros / 1e6)} s`
}

/** A rate in GB/s (10^9 bytes), MB/s below a tenth of one. */
export function rateText(bytesPerSecond: number): string {
  return bytesPerSecond >= 1e8
    ? `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`
    : `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`
}

/** Three digits that count, and never an exponent: 1.02, 10.2, 1023. */
const threeDigits = (value: number): string => (value < 999.5 ? value.toPrecision(3) : value.toFixed(0))
