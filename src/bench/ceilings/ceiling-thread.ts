/**
 * The entry of a ceiling thread: one stream, blocking calls, lists made beforehand, no protocol.
 *
 * The receiver sends the number of a job as one byte; the sender answers with the bytes of its list. That byte is all
 * there is beside the payload: without it nobody could say when a job begins.
 */
import { parentPort, workerData } from "node:worker_threads"
import { ControlMemory } from "../../os/control-memory.ts"
import { connectPlain, PlainListener, PlainMessage } from "../../os/plain-stream.ts"
import type { CeilingEvent, CeilingOrder, CeilingStart, Places } from "./ceiling-messages.ts"

if (parentPort === null) throw new Error("a ceiling runs as a worker thread")
const port = parentPort
const start = workerData as CeilingStart
const emit = (event: CeilingEvent): void => port.postMessage(event)

const memory = new ControlMemory(4096 + start.jobs.reduce((sum, job) => sum + controlBytes(job), 0))
const bell = memory.take(1)
const request = new PlainMessage(memory, [{ address: bell.address, length: 1 }])
const lists = start.jobs.map((job) => (job === undefined ? undefined : messageOf(job)))

if (start.role === "sender") serve()
else obey()

function serve(): void {
  const listener = new PlainListener(memory)
  emit({ type: "ready", port: listener.port })
  const fd = listener.accept()
  while (request.receiveAll(fd)) lists[bell.u8[0]!]!.sendAll(fd)
}

function obey(): void {
  const fd = connectPlain(memory, start.port)
  emit({ type: "ready", port: start.port })
  port.on("message", ({ job, repeats }: CeilingOrder) => {
    const startMicros: number[] = []
    const endMicros: number[] = []
    bell.u8[0] = job
    for (let i = 0; i < repeats; i++) {
      startMicros.push(clockMicros())
      request.sendAll(fd)
      lists[job]!.receiveAll(fd)
      endMicros.push(clockMicros())
    }
    emit({ type: "moved", startMicros, endMicros })
  })
}

function controlBytes(places: Places | undefined): number {
  return places === undefined ? 0 : PlainMessage.controlBytes(places.lengths.length) + 64
}

function messageOf({ addresses, lengths }: Places): PlainMessage {
  const places = Array.from(addresses, (address, i) => ({ address, length: lengths[i]! }))
  return new PlainMessage(memory, places)
}

/** One clock for all threads of a process. */
function clockMicros(): number {
  return Number(process.hrtime.bigint()) / 1000
}
