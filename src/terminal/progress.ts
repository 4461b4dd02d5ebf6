/** Tells how far a long work is, on one line of a terminal; silent anywhere else. */
export interface Progress {
  /** `fraction` from 0 to 1, or undefined while it cannot be known. */
  update(label: string, fraction?: number): void
  /** Clears the line. */
  end(): void
}

const barWidth = 24
/** Redraws at most ten times a second. */
const redrawMillis = 100

/** A progress line on `stream`, which should be standard error. */
export function progressOn(stream: NodeJS.WriteStream): Progress {
  if (stream.isTTY !== true || process.env["TERM"] === "dumb") return { update() {}, end() {} }
  let drawnAt = 0
  let lastLabel = ""
  return {
    update(label, fraction) {
      const now = performance.now()
      if (label === lastLabel && now - drawnAt < redrawMillis) return
      drawnAt = now
      lastLabel = label
      stream.write(
        `\r\u001b[K${bar(fraction)}${label.slice(0, Math.max(10, (stream.columns ?? 80) - barWidth - 12))}`,
      )
    },
    end: () => {
      if (lastLabel !== "") stream.write("\r\u001b[K")
      lastLabel = ""
    },
  }
}

function bar(fraction: number | undefined): string {
  if (fraction === undefined) return "… "
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * barWidth)
  const percent = `${Math.round(fraction * 100)}%`.padStart(4)
  return `[${"#".repeat(full)}${"-".repeat(barWidth - full)}]${percent} `
}
