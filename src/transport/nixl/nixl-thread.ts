/** The entry of the thread of a nixl endpoint: NIXL is called here and nowhere else. */
import { parentPort, workerData } from "node:worker_threads"
import { asKvError } from "../../errors/kv-error.ts"
import { CallWatch } from "../../os/call-watch.ts"
import { NixlLibrary } from "../../os/nixl/nixl-library.ts"
import { NixlHost } from "./nixl-host.ts"
import type { NixlCommand, NixlEvent, NixlStart } from "./thread-messages.ts"

const port = parentPort
if (port === null) throw new Error("a nixl endpoint's thread runs as a worker thread")
const emit = (event: NixlEvent): void => port.postMessage(event)
const start = workerData as NixlStart
try {
  const host = new NixlHost(start, new NixlLibrary(start.library, new CallWatch(start.watch)), emit)
  port.on("message", (command: NixlCommand) => {
    if (command.type === "stop") void host.close().finally(() => port.close())
    else host.hear(command)
  })
  await host.listen()
} catch (thrown) {
  emit({
    type: "failed",
    error: asKvError(thrown, "KV_TRANSPORT_UNAVAILABLE", "the thread of a nixl endpoint failed").toJSON(),
  })
  port.close()
}
