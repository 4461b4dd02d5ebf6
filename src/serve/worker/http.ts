import { createHash, timingSafeEqual } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { z } from "zod"
import { asKvError, KvError } from "../../errors/kv-error.ts"
import { Registry } from "../../metrics/registry.ts"
import { listenError } from "../../os/listen-error.ts"
import {
  type DecodeEvent,
  decodeRequestSchema,
  prefillRequestSchema,
  releaseRequestSchema,
  workerRoutes,
} from "../protocol.ts"
import { type KvWorker, TransferFailed } from "./worker.ts"
import { workerMetrics } from "./worker-metrics.ts"

/** Largest request body: a context of a million tokens as JSON. */
const bodyBytesMax = 16 * 2 ** 20

/** Connections, and requests that compute, at one time. */
const connectionsMax = 1024
const requestsMax = 256

/** A worker's HTTP port. */
export interface WorkerPort extends AsyncDisposable {
  readonly host: string
  readonly port: number
}

/**
 * Puts a worker behind HTTP: prefill or decode (its role's), release, health, metrics.
 * @throws KvError KV_PORT_IN_USE, KV_OS.
 */
export async function serveWorker(
  worker: KvWorker,
  options: { readonly host: string; readonly port: number; readonly bearer: string },
): Promise<WorkerPort> {
  const registry = new Registry()
  const metrics = workerMetrics(registry, worker)
  const wanted = digest(`Bearer ${options.bearer}`)
  const server = createServer((request, response) => {
    const done = new AbortController()
    response.once("close", () => done.abort())
    handle(request, response, done.signal).catch((thrown: unknown) => {
      const error = asKvError(thrown, "KV_INTERNAL", "a request failed by a mistake of ours")
      if (error.code !== "KV_CANCELLED") metrics.failed(error.code)
      if (response.headersSent) return void response.destroy()
      // What is left of the body is not read, so this connection cannot carry another request.
      if (!request.complete) response.setHeader("connection", "close")
      sendJson(response, error.status, { error: error.toJSON() })
    })
  })

  let computing = 0

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const path = (request.url ?? "/").split("?", 1)[0]!
    if (request.method === "GET" && path === workerRoutes.health)
      return sendJson(response, 200, worker.health)
    if (request.method === "GET" && path === workerRoutes.metrics) {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(registry.text())
      return
    }
    if (!timingSafeEqual(digest(request.headers.authorization ?? ""), wanted)) {
      const text = {
        what: "the request carries no valid bearer",
        next: "start frontend and workers with one secret",
      }
      throw new KvError("KV_PEER_UNTRUSTED", text)
    }
    const route = request.method === "POST" ? path : ""
    if (computing >= requestsMax && route !== workerRoutes.release) {
      throw new KvError("KV_LIMIT", {
        what: `this worker has ${requestsMax} requests already`,
        next: "try again later",
      })
    }
    computing += 1
    response.once("close", () => {
      computing -= 1
    })
    if (route === workerRoutes.prefill && worker.role === "prefill") {
      const answer = await worker.prefill(await readBody(request, prefillRequestSchema), signal)
      // A frontend that went away meanwhile will neither use the lease nor give it back.
      if (signal.aborted) worker.agent.withdraw(answer.handover.lease)
      else sendJson(response, 200, answer)
    } else if (route === workerRoutes.decode && worker.role === "decode") {
      await decode(request, response, signal)
    } else if (route === workerRoutes.release) {
      const order = await readBody(request, releaseRequestSchema)
      sendJson(response, 200, { released: worker.release(order) })
    } else {
      throw new KvError("KV_REQUEST_INVALID", {
        what: `a ${worker.role} worker has no ${request.method} ${path.slice(0, 100)}`,
        next: "check that --prefill and --decode of the frontend are not exchanged",
      })
    }
  }

  async function decode(
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const order = await readBody(request, decodeRequestSchema)
    response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" })
    response.flushHeaders()
    const send = (event: DecodeEvent): void => void response.write(`${JSON.stringify(event)}\n`)
    try {
      const outcome = await worker.decode(
        order,
        {
          transferred: (receipt) => {
            metrics.transferred(receipt)
            send({ event: "transferred", receipt: { ...receipt } })
          },
          token: (index, token) => send({ event: "token", index, token }),
        },
        signal,
      )
      send({
        event: "end",
        reason: outcome.reason,
        tokens: outcome.tokens,
        decodeMicros: outcome.micros,
        promptTokensComputed: worker.engine.counters.promptTokens,
        ...(outcome.evidence === undefined ? {} : { evidence: outcome.evidence }),
      })
    } catch (thrown) {
      const error = asKvError(thrown, "KV_INTERNAL", "a decode failed by a mistake of ours")
      if (error.code !== "KV_CANCELLED") metrics.failed(error.code)
      if (error instanceof TransferFailed) metrics.transferred(error.receipt)
      const { receipt, evidence } = error instanceof TransferFailed ? error : {}
      send({
        event: "error",
        error: {
          ...error.toJSON(),
          ...(receipt === undefined ? {} : { receipt }),
          ...(evidence === undefined ? {} : { evidence }),
        },
      })
    }
    response.end()
  }

  server.maxConnections = connectionsMax
  return await new Promise<WorkerPort>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, options.host, options.port)))
    server.listen(options.port, options.host, () => {
      const address = server.address()
      if (address === null || typeof address === "string") return reject(new Error("a TCP server has a port"))
      resolve({
        host: options.host,
        port: address.port,
        [Symbol.asyncDispose]: () =>
          new Promise<void>((done) => {
            server.close(() => done())
            server.closeAllConnections()
          }),
      })
    })
  })
}

/** Reads and checks a JSON body. @throws KvError KV_REQUEST_TOO_LARGE, KV_REQUEST_INVALID, KV_CANCELLED. */
async function readBody<Schema extends z.ZodType>(
  request: IncomingMessage,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const body = await readBytes(request)
  let value: unknown
  try {
    value = JSON.parse(body.toString("utf8"))
  } catch (thrown) {
    throw new KvError("KV_REQUEST_INVALID", { what: "the body is not JSON", cause: thrown })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new KvError("KV_REQUEST_INVALID", {
    what: `the body does not fit: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    next: "frontend and worker must be of one version",
  })
}

/** Listeners rather than `for await`, which would destroy the socket on leaving the loop, and the refusal with it. */
function readBytes(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const stop = (): void => {
      request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone)
    }
    const onData = (chunk: Buffer): void => {
      length += chunk.byteLength
      chunks.push(chunk)
      if (length <= bodyBytesMax) return
      stop()
      request.pause()
      reject(new KvError("KV_REQUEST_TOO_LARGE", { what: `the body is larger than ${bodyBytesMax} bytes` }))
    }
    const onEnd = (): void => {
      stop()
      resolve(Buffer.concat(chunks, length))
    }
    const onGone = (): void => {
      stop()
      request.on("error", () => {})
      reject(new KvError("KV_CANCELLED", { what: `the caller left after ${length} bytes of its body` }))
    }
    request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone)
  })
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

/** Equal lengths for the comparison in constant time, whatever was sent. */
const digest = (text: string): Buffer => createHash("sha256").update(text).digest()
