import type { IncomingMessage, ServerResponse } from "node:http"
import { KvError } from "../../errors/kv-error.ts"
import { StreamSink, WholeSink } from "./answer-sinks.ts"
import { type ApiError, apiErrorOf } from "./api-error.ts"
import { isBearer } from "./bearer.ts"
import { EventStream } from "./event-stream.ts"
import type { FrontendMetrics } from "./frontend-metrics.ts"
import { type AnswerSink, type GenerationTools, generate } from "./generate.ts"
import { GenerationLog } from "./generation-log.ts"
import {
  type GenerationEndpoint,
  type GenerationRequest,
  readGenerationRequest,
} from "./generation-request.ts"
import { watchRequest } from "./hang-up.ts"
import type { Job } from "./job.ts"
import { answerHead, finishChunk, usageChunk, usageOf, wholeAnswer } from "./openai-objects.ts"
import { type PromptTools, tokenizePrompt } from "./prompt-tokens.ts"
import { readJsonBody } from "./read-body.ts"
import type { RecentRecords } from "./recent-records.ts"
import type { FinishReason } from "./request-record.ts"
import { childTrace } from "./traceparent.ts"

/** What the two generating routes work with. */
export interface GenerationContext extends GenerationTools, PromptTools {
  readonly modelName: string
  readonly secret: string
  readonly metrics: FrontendMetrics
  readonly records: RecentRecords
  /** Aborted when the frontend closes. */
  readonly closing: AbortSignal
  /** Generations that run now. */
  readonly running: Set<Job>
}

/** One HTTP request with its names. */
export interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly requestId: string
  readonly startedMillis: number
}

/**
 * Answers one generating request.
 *
 * @returns the body of a whole answer, or undefined when the response was written already or nobody is left to read it
 * @throws ApiError for everything that is still an HTTP status
 */
export async function serveGeneration(
  context: GenerationContext,
  endpoint: GenerationEndpoint,
  exchange: Exchange,
): Promise<object | undefined> {
  const { incoming, outgoing } = exchange
  const body = await readJsonBody(incoming, context.limits.bodyBytes)
  const request = readGenerationRequest(endpoint, body, context, context.limits)
  admit(context)
  const job = jobOf(request, context, exchange)
  const log = new GenerationLog(job, context.modelName, context.metrics)
  const ended = context.metrics.generationBegan()
  const left = context.limits.requestMillis - (performance.now() - job.startedMillis)
  const { signal, stop } = watchRequest(outgoing, left, context.closing)
  context.running.add(job)
  try {
    return await answer(context, request, job, log, outgoing, signal)
  } finally {
    stop()
    context.running.delete(job)
    ended((performance.now() - job.startedMillis) / 1e3)
  }
}

function admit({ running, limits, closing }: GenerationContext): void {
  if (closing.aborted) throw closing.reason
  if (running.size < limits.requests) return
  throw new KvError("KV_LIMIT", {
    what: `${running.size} requests are being answered, which is the limit`,
    next: "send the request again in a moment, or raise the frontend's limit `requests`",
  })
}

function jobOf(request: GenerationRequest, context: GenerationContext, exchange: Exchange): Job {
  const { headers } = exchange.incoming
  const asksForEvidence = headers["x-kvferry-evidence"] === "1"
  return {
    requestId: exchange.requestId,
    trace: childTrace(headers["traceparent"]),
    endpoint: request.endpoint,
    stream: request.stream,
    startedAt: new Date(Date.now() - (performance.now() - exchange.startedMillis)).toISOString(),
    startedMillis: exchange.startedMillis,
    ...tokenizePrompt(request, context),
    sampling: request.sampling,
    ignoreEnd: request.ignoreEnd,
    stop: request.stop,
    // Hashes of somebody's cache tell about their prompt: only for whoever holds the workers' secret.
    evidence: asksForEvidence && isBearer(headers.authorization, context.secret),
  }
}

async function answer(
  context: GenerationContext,
  request: GenerationRequest,
  job: Job,
  log: GenerationLog,
  outgoing: ServerResponse,
  signal: AbortSignal,
): Promise<object | undefined> {
  const head = answerHead(job.endpoint, job.requestId, job.startedAt, context.modelName)
  const events = new EventStream(outgoing)
  const whole = new WholeSink()
  const streamed = new StreamSink(events, head, request.includeUsage)
  const sink: AnswerSink = job.stream ? streamed : whole
  let finishReason: FinishReason
  try {
    finishReason = await generate(job, context, log, sink, signal)
  } catch (thrown) {
    return fail(context, job, log, events, signal, thrown)
  }
  // Remembered before the last byte leaves, so that whoever got the answer finds its receipt.
  context.records.add(log.record({ finishReason }))
  tell(context, job, log, finishReason)
  const usage = usageOf(job.tokens.length, log.completionTokens)
  if (!job.stream) return wholeAnswer(head, whole.text, finishReason, usage)
  const finish = streamed.marked(finishChunk(head, finishReason))
  events.done(request.includeUsage ? [finish, usageChunk(head, usage)] : [finish])
  return undefined
}

function fail(
  context: GenerationContext,
  job: Job,
  log: GenerationLog,
  events: EventStream,
  signal: AbortSignal,
  thrown: unknown,
): undefined {
  const error = apiErrorOf(thrown)
  const hungUp =
    signal.aborted && thrown instanceof KvError && thrown.code === "KV_CANCELLED" && !context.closing.aborted
  context.records.add(log.record({ error }))
  tell(context, job, log, undefined, error)
  if (hungUp) return undefined
  if (!events.opened) throw thrown
  context.metrics.errored(error.code)
  events.fail(error.body)
  return undefined
}

function tell(
  { log }: GenerationContext,
  job: Job,
  { completionTokens }: GenerationLog,
  finishReason?: FinishReason,
  error?: ApiError,
): void {
  const fields = {
    requestId: job.requestId,
    endpoint: job.endpoint,
    promptTokens: job.tokens.length,
    completionTokens,
    millis: Math.round(performance.now() - job.startedMillis),
  }
  if (error === undefined) return log.info("request answered", { ...fields, finishReason })
  log.warn("request failed", { ...fields, code: error.code, why: error.message })
}
