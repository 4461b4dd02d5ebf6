import { setMaxListeners } from "node:events"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { getRequestListener, type HttpBindings } from "@hono/node-server"
import { KvError } from "../../errors/kv-error.ts"
import { ApiError } from "./api-error.ts"
import { type AppContext, createApp } from "./app.ts"
import type { ChatRenderer } from "./chat-renderer.ts"
import { type Admitted, frontDoor } from "./front-door.ts"
import { FrontendMetrics } from "./frontend-metrics.ts"
import { isLoopback } from "./host-guard.ts"
import { defaultLimits, type FrontendLimits } from "./limits.ts"
import type { Log } from "./log.ts"
import { createPage } from "./page/page.ts"
import { RecentRecords } from "./recent-records.ts"
import type { TextCodec } from "./text-codec.ts"
import { WorkerClient } from "./worker-client.ts"
import { HealthCheck } from "./worker-health.ts"
import { WorkerPool } from "./worker-pool.ts"

/** What a frontend is made of. */
export interface FrontendOptions {
  /** Address to bind; 127.0.0.1 unless told otherwise. */
  readonly host?: string
  /** 0 takes any free port. */
  readonly port?: number
  /** Base URLs of the workers, at least one each. */
  readonly prefill: readonly string[]
  readonly decode: readonly string[]
  /** The bearer that workers ask for. */
  readonly secret: string
  readonly tokenizer: TextCodec
  readonly chatTemplate: ChatRenderer
  /** The one name that clients may ask for. */
  readonly modelName: string
  /** Most tokens of prompt and answer together. */
  readonly contextTokens: number
  /** Tokens whose text is never shown: they end an answer, or pass unseen with `ignore_eos`. */
  readonly endTokens: readonly number[]
  readonly vocabSize: number
  readonly log: Log
  /** Those named here; the others stay as in `defaultLimits`. */
  readonly limits?: Partial<FrontendLimits>
}

/** A frontend that listens. */
export interface Frontend {
  /** Where clients find it, without a slash at its end. */
  readonly url: string
  readonly port: number
  /** Stops listening, lets running requests end for `drainMillis`, then ends them; resolves when all is closed. */
  close(): Promise<void>
}

/** Milliseconds between two looks at whether the running requests have ended. */
const DRAIN_STEP_MILLIS = 20

/** Milliseconds between two looks at which clients take too long to send their request. */
const TIMEOUT_STEP_MILLIS = 500

/**
 * Opens the OpenAI-compatible HTTP frontend over prefill and decode workers.
 *
 * @throws KvError KV_USAGE for wrong options, KV_PORT_IN_USE when the port is taken, KV_OS when it cannot be bound
 */
export async function openFrontend(options: FrontendOptions): Promise<Frontend> {
  const host = options.host ?? "127.0.0.1"
  const closing = new AbortController()
  // Every running generation listens to it; Node's default of ten listeners is a warning about leaks.
  setMaxListeners(0, closing.signal)
  const context = createContext(options, closing.signal)
  const server = createHttpServer(context, isLoopback(host))
  const port = await listen(server, host, options.port ?? 0)
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`
  context.log.info("frontend listens", { url, model: options.modelName })
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= closeAll(server, context, closing)
    return closed
  }
  return { url, port, close }
}

function createContext(options: FrontendOptions, closing: AbortSignal): AppContext {
  if (options.secret === "") {
    throw new KvError("KV_USAGE", {
      what: "the secret shared with the workers is empty",
      next: "give the same non-empty secret to the frontend and to all of its workers",
    })
  }
  const limits = { ...defaultLimits, ...options.limits }
  const client = new WorkerClient(options.secret, limits)
  const prefill = new WorkerPool("prefill", options.prefill)
  const decode = new WorkerPool("decode", options.decode)
  const { tokenizer, chatTemplate, modelName, contextTokens, vocabSize, secret, log } = options
  return {
    ...{ tokenizer, chatTemplate, modelName, contextTokens, vocabSize, secret, log, limits },
    ...{ prefill, decode, client, closing },
    endTokens: new Set(options.endTokens),
    metrics: new FrontendMetrics(),
    records: new RecentRecords(limits.receipts, limits.evidence),
    health: new HealthCheck([prefill, decode], client),
    page: createPage(modelName),
    startedSeconds: Math.floor(Date.now() / 1000),
    running: new Set(),
    background: new Set(),
  }
}

function createHttpServer(context: AppContext, loopback: boolean): Server {
  const { limits, metrics } = context
  const app = createApp(context)
  const admitted = new WeakMap<object, Admitted>()
  const listener = getRequestListener(
    (request, bindings) =>
      app.fetch(request, { ...(bindings as HttpBindings), ...admitted.get(bindings.incoming)! }),
    // Replacing the global Request and Response would reach into whoever embeds us.
    { overrideGlobalObjects: false, errorHandler: badRequest },
  )
  const admit = (incoming: IncomingMessage, outgoing: ServerResponse, names: Admitted) => {
    admitted.set(incoming, names)
    void listener(incoming, outgoing)
  }
  const timeouts = { requestTimeout: limits.uploadMillis, connectionsCheckingInterval: TIMEOUT_STEP_MILLIS }
  const server = createServer(timeouts, frontDoor({ loopback, metrics }, admit))
  server.maxConnections = limits.connections
  return server
}

// Reached for a request line that is no URL; everything later is handled by the app.
function badRequest(thrown: unknown): Response {
  const why = thrown instanceof Error ? thrown.message : String(thrown)
  const { body, status } = new ApiError({
    status: 400,
    message: `the request's target cannot be read: ${why}`,
    code: "KV_REQUEST_INVALID",
  })
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } })
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const inUse = cause.code === "EADDRINUSE"
      reject(
        new KvError(inUse ? "KV_PORT_IN_USE" : "KV_OS", {
          what: `the frontend cannot listen on ${host} port ${port}`,
          why: cause.message,
          next: inUse
            ? "stop the process that has it, or choose another port (0 takes any free one)"
            : "choose another address",
          cause,
        }),
      )
    })
    server.listen({ host, port }, () => {
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : port)
    })
  })
}

async function closeAll(server: Server, context: AppContext, closing: AbortController): Promise<void> {
  const { running, background, client, limits } = context
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const lastMillis = performance.now() + limits.drainMillis
  while (running.size > 0 && performance.now() < lastMillis) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_STEP_MILLIS))
  }
  closing.abort(new KvError("KV_CANCELLED", { what: "the frontend was closed while this request ran" }))
  while (running.size > 0) await new Promise((resolve) => setTimeout(resolve, DRAIN_STEP_MILLIS))
  await Promise.all(background)
  // Answers that are written leave first; then no client may keep us open.
  server.closeIdleConnections()
  setTimeout(() => server.closeAllConnections(), DRAIN_STEP_MILLIS)
  await closed
  client.close()
}
