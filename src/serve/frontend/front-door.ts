import type { IncomingMessage, ServerResponse } from "node:http"
import { ApiError } from "./api-error.ts"
import type { Endpoint, FrontendMetrics } from "./frontend-metrics.ts"
import { namesThisMachine } from "./host-guard.ts"
import { requestIdFrom } from "./request-id.ts"

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void

/** What goes with a request past the door. */
export interface Admitted {
  readonly requestId: string
  readonly startedMillis: number
}

/**
 * What happens to every request before any route sees it: it gets its id and its headers, is counted when it is
 * answered, and is turned away when it reached a loopback server under another name.
 */
export function frontDoor(
  options: { readonly loopback: boolean; readonly metrics: FrontendMetrics },
  admit: (incoming: IncomingMessage, outgoing: ServerResponse, admitted: Admitted) => void,
): Listener {
  return (incoming, outgoing) => {
    const startedMillis = performance.now()
    const requestId = requestIdFrom(incoming.headers["x-request-id"])
    outgoing.setHeader("x-request-id", requestId)
    outgoing.setHeader("x-content-type-options", "nosniff")
    // A page of another origin may not even embed what it cannot read.
    outgoing.setHeader("cross-origin-resource-policy", "same-origin")
    const endpoint = endpointOf(incoming.url)
    outgoing.once("close", () => {
      options.metrics.answered(endpoint, outgoing.writableFinished ? outgoing.statusCode : "cancelled")
    })
    if (options.loopback && !namesThisMachine(incoming.headers.host))
      return turnAway(outgoing, options.metrics)
    admit(incoming, outgoing, { requestId, startedMillis })
  }
}

/** Writes an error without any routing. */
function writeError(outgoing: ServerResponse, error: ApiError): void {
  const text = JSON.stringify(error.body)
  outgoing.writeHead(error.status, {
    ...error.headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  })
  outgoing.end(text)
}

function turnAway(outgoing: ServerResponse, metrics: FrontendMetrics): void {
  const message =
    "this frontend listens on this machine only and answers to the hosts localhost, 127.0.0.1 and [::1]; " +
    "open it under one of these, or bind it to another address"
  metrics.errored("KV_PEER_UNTRUSTED")
  // Whatever follows on this connection is not wanted either, and its body is not read.
  const headers = { connection: "close" }
  writeError(outgoing, new ApiError({ status: 403, message, code: "KV_PEER_UNTRUSTED", headers }))
}

function endpointOf(url: string | undefined): Endpoint {
  const path = (url ?? "").split("?", 1)[0]!
  if (path === "/v1/chat/completions") return "chat_completions"
  if (path === "/v1/completions") return "completions"
  if (path === "/v1/models" || path.startsWith("/v1/models/")) return "models"
  if (path === "/health") return "health"
  if (path === "/metrics") return "metrics"
  if (path === "/kvferry/v1/receipts") return "receipts"
  return path === "/" ? "page" : "other"
}
