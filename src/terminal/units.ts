/** A size as people read it: bytes, KiB, MiB or GiB. */
export function sizeText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`
}

/** A span as people read it: µs, ms or s. */
export function timeText(micros: number): string {
  if (micros < 1000) return `${Math.round(micros)} µs`
  return micros < 1e6 ? `${(micros / 1000).toPrecision(3)} ms` : `${(micros / 1e6).toPrecision(3)} s`
}

/** A rate in GB/s (10^9 bytes), MB/s below a tenth of one. */
export function rateText(bytesPerSecond: number): string {
  return bytesPerSecond >= 1e8
    ? `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`
    : `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`
}
