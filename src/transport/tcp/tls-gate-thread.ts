/** The entry of a gate thread: it runs one `TlsGate` until told to stop. */
import { parentPort, workerData } from "node:worker_threads"
import { TlsGate } from "./tls-gate.ts"
import type { GateStart } from "./tls-gate-messages.ts"

if (parentPort === null) throw new Error("a gate runs as a worker thread")
new TlsGate(parentPort, workerData as GateStart).open()
