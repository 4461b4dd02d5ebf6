import { errorCodes } from "../../errors/codes.ts"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { ApiError } from "./api-error.ts"
import { isFields } from "./fields.ts"
import { printable } from "./printable.ts"
import type { Worker } from "./worker-pool.ts"

/** A worker that saw nothing of a request: another one may be asked. */
export class WorkerUnreached extends KvError {}

/** How a worker is named in messages. */
function nameOf({ role, url }: Worker): string {
  return `the ${role} worker at ${url}`
}

/** The connection was refused, timed out, or was closed before the worker could have read from it. */
export function workerUnreached(worker: Worker, cause: unknown): WorkerUnreached {
  return new WorkerUnreached("KV_WORKER_LOST", {
    what: `${nameOf(worker)} cannot be reached`,
    why: reasonOf(cause),
    next: "send the request again; if it stays so, look whether that process runs (GET /health lists all workers)",
    cause,
  })
}

/** The worker took the request and its answer broke off. */
export function workerLost(worker: Worker, progress: string, cause?: unknown): KvError {
  return new KvError("KV_WORKER_LOST", {
    what: `${nameOf(worker)} was lost ${progress}`,
    ...(cause === undefined ? {} : { why: reasonOf(cause) }),
    next: "send the request again; if it stays so, look into that worker's log",
    cause,
  })
}

/** The worker answered something that the protocol does not have. */
export function workerSpokeWrong(worker: Worker, what: string): KvError {
  return new KvError("KV_WIRE_INVALID", {
    what: `${nameOf(worker)} ${what}`,
    next: "run the frontend and its workers from one version of kvferry",
  })
}

/** The error that a worker reported, as an answer with a status of 4xx or an event of a stream. */
export function workerRefused(worker: Worker, record: unknown): KvError | ApiError {
  const told = kvErrorFromRecord(isFields(record) ? safeTexts(record) : record, "KV_PEER_REFUSED")
  const error = new KvError(told.code, {
    what: `${nameOf(worker)} reported: ${told.what}`,
    ...(told.why === undefined ? {} : { why: told.why }),
    ...(told.next === undefined ? {} : { next: told.next }),
  })
  return isClientsFault(error) ? error : atLeast502(error)
}

// A worker that finds our call wrong (bad secret, unknown field) found a mistake of this side, not of the client.
function isClientsFault({ code }: KvError): boolean {
  return code === "KV_PROMPT_INVALID" || code === "KV_PROMPT_TOO_LONG"
}

function atLeast502(error: KvError): KvError | ApiError {
  if (errorCodes[error.code].status >= 500) return error
  return new ApiError({ status: 502, message: error.message, code: error.code })
}

// What a worker says is shown to clients: shortened and escaped like any other stranger's text.
function safeTexts(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const safe: Record<string, unknown> = { ...record }
  for (const name of ["what", "why", "next"]) {
    if (typeof record[name] === "string") safe[name] = printable(record[name], 600).slice(1, -1)
  }
  return safe
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  // Node's whole word for a connection that closed within an answer.
  if (cause.message === "aborted") return "its connection closed"
  // A host with several addresses fails with one error for each of them and no message of its own.
  const inner = cause instanceof AggregateError ? cause.errors.map(reasonOf).join("; ") : cause.message
  return inner === "" && "code" in cause ? String(cause.code) : inner
}
