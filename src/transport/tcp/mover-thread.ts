/** The entry of a mover thread: it runs one `Mover` until told to stop, and reports what it cannot survive. */
import { parentPort, workerData } from "node:worker_threads"
import { asKvError } from "../../errors/kv-error.ts"
import { Mover } from "./mover.ts"
import type { MoverEvent, MoverStart } from "./mover-messages.ts"

if (parentPort === null) throw new Error("a mover runs as a worker thread")
try {
  new Mover(parentPort, workerData as MoverStart).run()
} catch (thrown) {
  const error = asKvError(thrown, "KV_TRANSPORT_UNAVAILABLE", "a mover thread of the tcp transport failed")
  parentPort.postMessage({ type: "failed", error: error.toJSON() } satisfies MoverEvent)
}
