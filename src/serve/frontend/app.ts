import type { HttpBindings } from "@hono/node-server"
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response"
import { type Context, Hono } from "hono"
import type { ContentfulStatusCode } from "hono/utils/http-status"
import { KvError } from "../../errors/kv-error.ts"
import { expositionType } from "../../metrics/exposition.ts"
import { ApiError, apiErrorOf, invalidParam } from "./api-error.ts"
import { isBearer } from "./bearer.ts"
import type { Admitted } from "./front-door.ts"
import { modelNotFound } from "./generation-request.ts"
import { type GenerationContext, serveGeneration } from "./generation-route.ts"
import type { Page } from "./page/page.ts"
import { printable } from "./printable.ts"
import { withoutEvidence } from "./recent-records.ts"
import type { HealthCheck } from "./worker-health.ts"

/** What all routes share. */
export interface AppContext extends GenerationContext {
  readonly health: HealthCheck
  readonly page: Page
  /** Unix seconds of the start. */
  readonly startedSeconds: number
}

type Env = { Bindings: HttpBindings & Admitted }
type Handler = (c: Context<Env>) => Response | Promise<Response>

/** Receipts in one answer when the query names no number. */
const RECEIPTS_DEFAULT = 20

/** All routes of the frontend. Errors of any kind leave it as OpenAI's error object. */
export function createApp(context: AppContext): Hono<Env> {
  const app = new Hono<Env>()
  route(app, "POST", "/v1/completions", (c) => generation(context, "completions", c))
  route(app, "POST", "/v1/chat/completions", (c) => generation(context, "chat_completions", c))
  route(app, "GET", "/v1/models", (c) => c.json({ object: "list", data: [modelObject(context)] }))
  route(app, "GET", "/v1/models/:id{.+}", (c) => model(context, c))
  route(app, "GET", "/health", (c) => health(context, c))
  route(app, "GET", "/metrics", (c) =>
    c.body(context.metrics.text(), 200, { "content-type": expositionType }),
  )
  route(app, "GET", "/kvferry/v1/receipts", (c) => receipts(context, c))
  route(app, "GET", "/", (c) => c.body(context.page.html, 200, context.page.headers))
  app.notFound((c) => failure(context, c, unknownRoute(c)))
  app.onError((thrown, c) => {
    const told = thrown instanceof ApiError || thrown instanceof KvError
    if (!told) context.log.error("request broke", { requestId: c.env.requestId, why: thrown.stack })
    return failure(context, c, apiErrorOf(thrown))
  })
  return app
}

function route(app: Hono<Env>, method: "GET" | "POST", path: string, handler: Handler): void {
  const allow = method === "GET" ? "GET, HEAD" : method
  app.on(method, path, handler)
  app.all(path, (c) => {
    const message = `${c.req.method} is not answered on ${printable(c.req.path)}; use ${method}`
    throw new ApiError({ status: 405, message, code: "KV_REQUEST_INVALID", headers: { allow } })
  })
}

async function generation(
  context: AppContext,
  endpoint: "completions" | "chat_completions",
  c: Context<Env>,
): Promise<Response> {
  const body = await serveGeneration(context, endpoint, c.env)
  return body === undefined ? RESPONSE_ALREADY_SENT : c.json(body)
}

function model(context: AppContext, c: Context<Env>): Response {
  const id = c.req.param("id") ?? ""
  if (id !== context.modelName) throw modelNotFound(id, context.modelName)
  return c.json(modelObject(context))
}

function modelObject({ modelName, startedSeconds, contextTokens }: AppContext): object {
  // vLLM's clients look for max_model_len.
  return {
    id: modelName,
    object: "model",
    created: startedSeconds,
    owned_by: "kvferry",
    max_model_len: contextTokens,
  }
}

async function health(context: AppContext, c: Context<Env>): Promise<Response> {
  const workers = await context.health.states()
  const answers = (role: string) => workers.some((worker) => worker.role === role && worker.status === "ok")
  const whole = workers.every(({ status }) => status === "ok")
  // Workers of two models refuse each other: each is well, and no request can be served.
  const models = new Set(workers.flatMap(({ fingerprint }) => fingerprint ?? []))
  const usable = answers("prefill") && answers("decode") && models.size === 1
  const body = {
    status: usable ? (whole ? "ok" : "degraded") : "unavailable",
    ...(models.size > 1 ? { why: `the workers hold ${models.size} different models` } : {}),
    role: "frontend",
    pid: process.pid,
    model: context.modelName,
    uptimeSeconds: Math.round(Date.now() / 1000) - context.startedSeconds,
    running: context.running.size,
    workers,
  }
  return c.json(body, usable ? 200 : 503)
}

function receipts(context: AppContext, c: Context<Env>): Response {
  const most = context.limits.receipts
  const asked = c.req.query("limit") ?? String(Math.min(RECEIPTS_DEFAULT, most))
  const limit = /^\d{1,9}$/.test(asked) ? Number(asked) : 0
  if (limit < 1 || limit > most) {
    throw invalidParam("limit", `limit is ${printable(asked)}; it must be a whole number from 1 to ${most}`)
  }
  const records = context.records.latest(limit, c.req.query("request"))
  const trusted = isBearer(c.req.header("authorization"), context.secret)
  c.header("cache-control", "no-store")
  return c.json({ object: "list", data: trusted ? records : records.map(withoutEvidence) })
}

function unknownRoute(c: Context<Env>): ApiError {
  const message = `there is no ${printable(c.req.path)} here; the routes are /v1/chat/completions, /v1/completions, /v1/models, /health, /metrics, /kvferry/v1/receipts and /`
  return new ApiError({ status: 404, message, code: "KV_REQUEST_INVALID" })
}

function failure(context: AppContext, c: Context<Env>, error: ApiError): Response {
  context.metrics.errored(error.code)
  return c.json(error.body, error.status as ContentfulStatusCode, { ...error.headers })
}
