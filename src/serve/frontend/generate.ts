import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { DecodeRequest, PrefillAnswer, PrefillRequest } from "../protocol.ts"
import { AnswerText } from "./answer-text.ts"
import type { OrderedEvent } from "./decode-order.ts"
import { readDecodeStream } from "./decode-stream.ts"
import type { GenerationLog } from "./generation-log.ts"
import type { Job } from "./job.ts"
import type { FrontendLimits } from "./limits.ts"
import type { Log } from "./log.ts"
import type { FinishReason } from "./request-record.ts"
import type { TextCodec } from "./text-codec.ts"
import type { WorkerClient } from "./worker-client.ts"
import { WorkerUnreached, workerSpokeWrong } from "./worker-errors.ts"
import type { Worker, WorkerPool } from "./worker-pool.ts"

/** What every generation shares. */
export interface GenerationTools {
  readonly prefill: WorkerPool
  readonly decode: WorkerPool
  readonly client: WorkerClient
  readonly tokenizer: TextCodec
  readonly endTokens: ReadonlySet<number>
  readonly vocabSize: number
  readonly limits: FrontendLimits
  readonly log: Log
  /** Work that outlives a request, such as a release: `close()` waits for it. */
  readonly background: Set<Promise<void>>
}

/** Where the text of an answer goes. */
export interface AnswerSink {
  /** The prompt's blocks arrived and are proven; text follows. */
  open(): void
  /** Pieces of text, one per token that completed any. Resolves when there is room for more. */
  write(pieces: readonly string[]): void | Promise<void>
}

/**
 * Runs one generation: prefill, hand over, decode, text.
 *
 * @throws KvError and ApiError as the client is to be told them; the signal's reason when it is aborted
 */
export async function generate(
  job: Job,
  tools: GenerationTools,
  log: GenerationLog,
  sink: AnswerSink,
  signal: AbortSignal,
): Promise<FinishReason> {
  const { worker, answer } = await runPrefill(job, tools, signal)
  log.prefilled(worker, answer)
  try {
    return await decodeAnswer(job, answer, tools, log, sink, signal)
  } catch (thrown) {
    // A delivered transfer ended the lease. Before that a decode worker that failed, refused, or was never reached
    // leaves the prefill worker waiting with its blocks.
    if (!log.delivered) giveBack(job, worker, answer.handover, tools)
    throw thrown
  }
}

async function decodeAnswer(
  job: Job,
  answer: PrefillAnswer,
  tools: GenerationTools,
  log: GenerationLog,
  sink: AnswerSink,
  signal: AbortSignal,
): Promise<FinishReason> {
  const { decoder, response } = await openDecode(job, answer, tools, signal)
  log.accepted(decoder)
  const expected = {
    requestId: job.requestId,
    firstToken: answer.firstToken,
    maxTokens: job.maxTokens,
    vocabSize: tools.vocabSize,
  }
  const stream = readDecodeStream(decoder, response, expected, tools.limits.workerAnswerBytes, signal)
  return follow(stream, new AnswerText(tools.tokenizer, job.stop, tools.endTokens), log, sink, signal)
}

async function runPrefill(
  job: Job,
  tools: GenerationTools,
  signal: AbortSignal,
): Promise<{ worker: Worker; answer: PrefillAnswer }> {
  const call = randomUUID()
  let asked: Worker | undefined
  const request: PrefillRequest = {
    requestId: job.requestId,
    call,
    trace: job.trace,
    tokens: Array.from(job.tokens),
    sampling: job.sampling,
    ...(job.evidence ? { evidence: true } : {}),
  }
  const { worker, value: answer } = await askInTurn(tools.prefill, tools.log, (next) => {
    asked = next
    return tools.client.prefill(next, request, signal)
  }).catch((thrown: unknown) => {
    // Its answer may have been on its way: then the worker holds a lease that nobody here knows by its id.
    if (signal.aborted && asked !== undefined) giveBack(job, asked, { call }, tools)
    throw thrown
  })
  if (answer.requestId !== job.requestId || answer.promptTokens !== job.tokens.length) {
    giveBack(job, worker, answer.handover, tools)
    const sent = `${job.tokens.length} were sent`
    throw workerSpokeWrong(
      worker,
      `answered for ${answer.promptTokens} tokens where ${sent}, or for another request`,
    )
  }
  return { worker, answer }
}

async function openDecode(
  job: Job,
  answer: PrefillAnswer,
  tools: GenerationTools,
  signal: AbortSignal,
): Promise<{ decoder: Worker; response: IncomingMessage }> {
  const request: DecodeRequest = {
    requestId: job.requestId,
    trace: job.trace,
    handover: answer.handover,
    promptTokens: answer.promptTokens,
    firstToken: answer.firstToken,
    maxTokens: job.maxTokens,
    sampling: job.sampling,
    ...(job.ignoreEnd ? { ignoreEnd: true } : {}),
    ...(job.evidence ? { evidence: true } : {}),
  }
  const { worker, value } = await askInTurn(tools.decode, tools.log, (asked) =>
    tools.client.decode(asked, request, signal),
  )
  return { decoder: worker, response: value }
}

/** Asks the worker whose turn it is and, if it saw nothing of the request, one other. */
async function askInTurn<T>(
  pool: WorkerPool,
  log: Log,
  ask: (worker: Worker) => Promise<T>,
): Promise<{ worker: Worker; value: T }> {
  const worker = pool.pick()!
  try {
    return await askOne(pool, worker, ask)
  } catch (thrown) {
    if (!(thrown instanceof WorkerUnreached)) throw thrown
    log.warn("worker unreached", { role: worker.role, worker: worker.url, why: thrown.why })
    const other = pool.pick(worker)
    if (other === undefined) throw thrown
    return askOne(pool, other, ask)
  }
}

async function askOne<T>(
  pool: WorkerPool,
  worker: Worker,
  ask: (worker: Worker) => Promise<T>,
): Promise<{ worker: Worker; value: T }> {
  try {
    const value = await ask(worker)
    pool.succeeded(worker)
    return { worker, value }
  } catch (thrown) {
    if (isLoss(thrown)) pool.failed(worker)
    throw thrown
  }
}

// A lost worker and one that let a deadline pass are both better not asked next. A refusal is an answer.
function isLoss(thrown: unknown): boolean {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined
  return code === "KV_WORKER_LOST" || code === "KV_DEADLINE"
}

// Nobody else will tell the prefill worker before its lease runs out. One that has ended already is not harmed.
function giveBack(
  job: Job,
  worker: Worker,
  what: { readonly lease: string } | { readonly call: string },
  tools: GenerationTools,
): void {
  const { requestId } = job
  const release = tools.client
    .release(worker, { requestId, ...("lease" in what ? { lease: what.lease } : { call: what.call }) })
    .catch((thrown: unknown) => {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      tools.log.warn("release failed", { requestId, worker: worker.url, why })
    })
  tools.background.add(release)
  release.finally(() => tools.background.delete(release))
}

async function follow(
  stream: AsyncIterable<readonly OrderedEvent[]>,
  text: AnswerText,
  log: GenerationLog,
  sink: AnswerSink,
  signal: AbortSignal,
): Promise<FinishReason> {
  let reason: FinishReason | undefined
  for await (const events of stream) {
    const pieces: string[] = []
    for (const event of events) {
      if (event.kind === "transferred") sink.open()
      if (event.kind === "transferred") log.transferred(event.receipt)
      if (event.kind === "failed") log.failed(event.receipt, event.evidence)
      if (event.kind === "token") {
        log.token()
        pieces.push(text.push(event.token))
      }
      if (event.kind === "end") {
        log.ended(event.end)
        pieces.push(text.end())
        reason = event.end.reason
      }
      if (text.stopped) break
    }
    await sink.write(pieces.filter((piece) => piece !== ""))
    signal.throwIfAborted()
    // Leaving the loop closes the connection: the worker has nothing more to compute.
    if (text.stopped) return "stop"
  }
  // readDecodeStream ends without throwing only after an end event.
  return reason!
}
