import type { KvErrorCode } from "../../errors/codes.ts"
import { KvError } from "../../errors/kv-error.ts"

/** The error object that OpenAI's clients read. */
export interface ApiErrorBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string | null
  }
}

/** Which part of a request was wrong, and what HTTP says about it. */
export interface ApiErrorFields {
  readonly status: number
  readonly message: string
  /** One of our codes, or OpenAI's own where its clients look for it. */
  readonly code: KvErrorCode | "model_not_found" | "context_length_exceeded"
  /** The parameter at fault. */
  readonly param?: string
  /** Further response headers, such as `allow`. */
  readonly headers?: Readonly<Record<string, string>>
}

/** An answer that is an error: a status, OpenAI's error object, and headers. */
export class ApiError extends Error {
  override readonly name = "ApiError"
  readonly status: number
  readonly code: ApiErrorFields["code"]
  readonly param: string | null
  readonly headers: Readonly<Record<string, string>>

  constructor({ status, message, code, param, headers }: ApiErrorFields) {
    super(message)
    this.status = status
    this.code = code
    this.param = param ?? null
    this.headers = headers ?? {}
  }

  /** The body as OpenAI's clients read it. */
  get body(): ApiErrorBody {
    const type = this.status < 500 ? "invalid_request_error" : "server_error"
    return { error: { message: this.message, type, param: this.param, code: this.code } }
  }
}

/** A parameter that cannot be taken as it is: 400, naming it. */
export function invalidParam(param: string, message: string): ApiError {
  return new ApiError({ status: 400, message, code: "KV_REQUEST_INVALID", param })
}

/** Whatever was thrown, as the answer that a client gets. */
export function apiErrorOf(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown
  if (thrown instanceof KvError) {
    const retry: Readonly<Record<string, string>> = thrown.code === "KV_LIMIT" ? { "retry-after": "1" } : {}
    return new ApiError({
      status: clientStatus(thrown),
      message: thrown.message,
      code: thrown.code,
      headers: retry,
    })
  }
  // A mistake of ours: its text may hold anything, so the log gets it and the client does not.
  return new ApiError({
    status: 500,
    message: "the frontend failed on a mistake of its own; its log has the details under this request's id",
    code: "KV_INTERNAL",
  })
}

// 499 means that nobody is left to read it. A client that is still there was cut off by us: that is a 503.
function clientStatus({ status }: KvError): number {
  return status === 499 ? 503 : status
}
