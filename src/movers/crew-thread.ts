/** The entry of a crew's thread. What it cannot survive ends it, and the crew hears of that. */
import { parentPort, workerData } from "node:worker_threads"
import { CrewLoop } from "./crew-loop.ts"
import type { CrewThreadMessage, CrewThreadStart } from "./thread-messages.ts"

const port = parentPort
if (port === null) throw new Error("a crew's thread runs as a worker thread")
const tell = (message: CrewThreadMessage): void => port.postMessage(message)
const loop = new CrewLoop(workerData as CrewThreadStart, () => tell("over"))
tell("ready")
loop.run()
