import type { ChildProcess } from "node:child_process"

/** How a process ended: one of the two is null. */
export interface ChildEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What a process has written before its end is read in this time. */
const restMillis = 1000

/**
 * Waits until a process is no more and what it wrote has been read.
 *
 * Something that it started and left behind may hold its streams open for ever: they are closed a moment after its end.
 * @throws the error of spawn(2) when it never began.
 */
export function childEnd(child: ChildProcess): Promise<ChildEnd> {
  const closeStreams = (): void => {
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
  }
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined
    child.once("exit", () => {
      timer = setTimeout(closeStreams, restMillis)
    })
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal })
    })
    child.on("error", (error) => {
      if (child.pid === undefined) reject(error)
    })
  })
}
