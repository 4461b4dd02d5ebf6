import { parentPort, workerData } from "node:worker_threads"
import { asKvError } from "../../errors/kv-error.ts"
import { CallWatch } from "../../os/call-watch.ts"
import { pinThread } from "../../os/pin-thread.ts"
import type { RailPort } from "./driver.ts"
import { RailLoop } from "./rail-loop.ts"
import type { RailEvent, RailStart } from "./rail-messages.ts"
import { WatchedPort } from "./watched-port.ts"

/** The body of a rail's thread: it runs the loop over the fabric's port until told to stop, and reports what it cannot survive. */
export function runRail(openPort: (port: unknown) => RailPort): void {
  if (parentPort === null) throw new Error("a rail runs as a worker thread")
  const start = workerData as RailStart
  const watch = new CallWatch(start.watch)
  try {
    if (start.cpu !== undefined) pinThread(start.cpu)
    new RailLoop(parentPort, start, new WatchedPort(openPort(start.port), watch)).run()
  } catch (thrown) {
    const error = asKvError(thrown, "KV_TRANSPORT_UNAVAILABLE", "a rail's thread failed")
    parentPort.postMessage({ type: "failed", error: error.toJSON() } satisfies RailEvent)
  } finally {
    watch.end()
  }
}
