import * as http from "node:http"
import * as https from "node:https"
import type { z } from "zod"
import { KvError } from "../../errors/kv-error.ts"
import {
  type DecodeRequest,
  type PrefillAnswer,
  type PrefillRequest,
  prefillAnswerSchema,
  type ReleaseRequest,
  type WorkerHealth,
  workerHealthSchema,
  workerRoutes,
} from "../protocol.ts"
import { isFields } from "./fields.ts"
import type { FrontendLimits } from "./limits.ts"
import { printable } from "./printable.ts"
import { workerLost, workerRefused, workerSpokeWrong, workerUnreached } from "./worker-errors.ts"
import type { Worker } from "./worker-pool.ts"

/** Idle connections are closed by us before Node's five seconds on the other side, so none goes stale in our hands. */
const IDLE_MILLIS = 2000

interface Call {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly body?: unknown
  /** Ends the call at once by closing its socket; the reason is what the call throws. */
  readonly signal: AbortSignal
}

/**
 * Calls workers over HTTP with the shared secret.
 *
 * node:http rather than fetch: an abort destroys the socket in the same turn, and errors carry their errno.
 */
export class WorkerClient {
  readonly #secret: string
  readonly #limits: FrontendLimits
  readonly #agents: { readonly http: http.Agent; readonly https: https.Agent }

  constructor(secret: string, limits: FrontendLimits) {
    this.#secret = secret
    this.#limits = limits
    const options = { keepAlive: true, timeout: IDLE_MILLIS, maxFreeSockets: limits.requests }
    this.#agents = { http: new http.Agent(options), https: new https.Agent(options) }
  }

  /** Computes a prompt. */
  prefill(worker: Worker, body: PrefillRequest, signal: AbortSignal): Promise<PrefillAnswer> {
    return this.#json(
      worker,
      { method: "POST", path: workerRoutes.prefill, body, signal },
      prefillAnswerSchema,
    )
  }

  /** Opens the stream of a decode: it is accepted once this resolves. The caller reads or destroys it. */
  async decode(worker: Worker, body: DecodeRequest, signal: AbortSignal): Promise<http.IncomingMessage> {
    return this.#open(worker, { method: "POST", path: workerRoutes.decode, body, signal })
  }

  /** Gives a lease back. */
  async release(worker: Worker, body: ReleaseRequest): Promise<void> {
    const signal = within(this.#limits.releaseMillis)
    const response = await this.#open(worker, { method: "POST", path: workerRoutes.release, body, signal })
    response.resume()
  }

  /** Asks a worker how it is. */
  health(worker: Worker): Promise<WorkerHealth> {
    const signal = within(this.#limits.healthMillis)
    return this.#json(worker, { method: "GET", path: workerRoutes.health, signal }, workerHealthSchema)
  }

  /** Closes the connections that are kept for later calls, and those in use. */
  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  async #json<S extends z.ZodType>(worker: Worker, call: Call, schema: S): Promise<z.infer<S>> {
    const response = await this.#open(worker, call)
    const value = await this.#readJson(worker, response, call.signal)
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    const issue = parsed.error.issues[0]
    const problem = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not as described"}`
    throw workerSpokeWrong(worker, `answered ${call.path} wrongly (${printable(problem, 160)})`)
  }

  /** Resolves at the head of a 2xx answer; every other ending throws. */
  async #open(worker: Worker, call: Call): Promise<http.IncomingMessage> {
    const response = await this.#send(worker, call)
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return response
    const body = await this.#readJson(worker, response, call.signal).catch(() => undefined)
    const record = isFields(body) && isFields(body["error"]) ? body["error"] : body
    if (isFields(record)) throw workerRefused(worker, record)
    throw workerSpokeWrong(worker, `answered ${call.path} with status ${status} and no error object`)
  }

  /** `fresh` opens a connection of its own instead of using a kept one. */
  #send(worker: Worker, call: Call, fresh = false): Promise<http.IncomingMessage> {
    const { signal } = call
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const { request, text } = this.#request(worker, call, fresh)
      let response: http.IncomingMessage | undefined
      const onAbort = () => (response ?? request).destroy(asError(signal.reason))
      signal.addEventListener("abort", onAbort, { once: true })
      const connected = this.#limitConnecting(request)
      // Stays for the life of the request: a socket that breaks later is told here too, and must not crash us.
      request.on("error", (cause) => {
        if (response !== undefined) return
        signal.removeEventListener("abort", onAbort)
        if (signal.aborted) return reject(signal.reason)
        // The worker closed a kept connection just as we wrote to it; that says nothing about the worker.
        if (request.reusedSocket) return resolve(this.#send(worker, call, true))
        reject(connected() ? workerLost(worker, "before it answered", cause) : workerUnreached(worker, cause))
      })
      request.once("response", (head) => {
        response = head
        head.once("close", () => signal.removeEventListener("abort", onAbort))
        resolve(head)
      })
      request.end(text)
    })
  }

  #request(
    worker: Worker,
    { method, path, body }: Call,
    fresh: boolean,
  ): { readonly request: http.ClientRequest; readonly text: string | undefined } {
    const url = new URL(worker.url + path)
    const secure = url.protocol === "https:"
    const kept = secure ? this.#agents.https : this.#agents.http
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      authorization: `Bearer ${this.#secret}`,
      ...(text === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
    }
    const request = (secure ? https : http).request(url, { method, headers, agent: fresh ? false : kept })
    return { request, text }
  }

  /** Destroys a request whose connection does not open in time. The returned function tells whether it did open. */
  #limitConnecting(request: http.ClientRequest): () => boolean {
    let connected = false
    request.once("socket", (socket) => {
      if (!socket.connecting) {
        connected = true
        return
      }
      const { connectMillis } = this.#limits
      const late = () => request.destroy(new Error(`no connection within ${connectMillis} ms`))
      const timer = setTimeout(late, connectMillis)
      socket.once("connect", () => {
        connected = true
        clearTimeout(timer)
      })
      socket.once("close", () => clearTimeout(timer))
    })
    return () => connected
  }

  async #readJson(worker: Worker, response: http.IncomingMessage, signal: AbortSignal): Promise<unknown> {
    const { workerAnswerBytes } = this.#limits
    const chunks: Buffer[] = []
    let length = 0
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        length += chunk.length
        if (length > workerAnswerBytes)
          throw workerSpokeWrong(worker, `answered more than ${workerAnswerBytes} bytes`)
        chunks.push(chunk)
      }
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      if (cause instanceof Error && "code" in cause && cause.code === "KV_WIRE_INVALID") throw cause
      throw workerLost(worker, `after ${length} bytes of its answer`, cause)
    }
    try {
      return JSON.parse(Buffer.concat(chunks, length).toString("utf8"))
    } catch {
      throw workerSpokeWrong(worker, `answered ${length} bytes that are not JSON`)
    }
  }
}

function within(millis: number): AbortSignal {
  const controller = new AbortController()
  const late = new KvError("KV_DEADLINE", { what: `no answer within ${millis} ms` })
  setTimeout(() => controller.abort(late), millis).unref()
  return controller.signal
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
