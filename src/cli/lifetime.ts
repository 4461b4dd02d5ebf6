/** A signal that aborts at the first Ctrl-C or TERM; the second ends the process at once. */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
  }
  process.on("SIGINT", interrupt)
  process.on("SIGTERM", interrupt)
  return controller.signal
}

/** Resolves when a server should end: interrupted, or, on a leash, when its parent's end of standard input closes. */
export function untilEnded(options: { readonly leash: boolean }): Promise<void> {
  const signal = interruption()
  return new Promise((resolve) => {
    const end = (): void => {
      // An open standard input would keep this process alive after its work is done.
      if (options.leash) process.stdin.destroy()
      resolve()
    }
    signal.addEventListener("abort", end, { once: true })
    if (!options.leash) return
    process.stdin.on("error", end)
    process.stdin.once("close", end)
    process.stdin.resume()
  })
}

let announced = false

/** True once this process has said that it is ready. */
export const isAnnounced = (): boolean => announced

/** Tells whoever started this process, in one line of JSON, that it is ready. */
export function announceReady(facts: Readonly<Record<string, unknown>>): void {
  announced = true
  process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, ...facts })}\n`)
}
