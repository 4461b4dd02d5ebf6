/** Every bound of the frontend, by name. */
export interface FrontendLimits {
  /** Bytes of one request body; more is a 413. */
  readonly bodyBytes: number
  /** Generations at one time; one more is a 503 with `Retry-After`. */
  readonly requests: number
  /** Open client connections; one more is closed at once. */
  readonly connections: number
  /** Milliseconds from a request's first byte to its answer's last; then 504. */
  readonly requestMillis: number
  /** Milliseconds a client has to send its whole request. */
  readonly uploadMillis: number
  /** Finished requests that are remembered. */
  readonly receipts: number
  /** How many of those keep their evidence, which can be megabytes each. */
  readonly evidence: number
  /** Bytes of one JSON answer or one NDJSON line of a worker. */
  readonly workerAnswerBytes: number
  /** Milliseconds to open a connection to a worker. */
  readonly connectMillis: number
  /** Milliseconds a worker has to answer `/health`. */
  readonly healthMillis: number
  /** Milliseconds a prefill worker has to take a lease back. */
  readonly releaseMillis: number
  /** Milliseconds that `close()` lets running requests go on. */
  readonly drainMillis: number
  /** Strings in `stop`. */
  readonly stopStrings: number
  /** Characters of one `stop` string. */
  readonly stopChars: number
  /** Characters per token of context above which a prompt is refused unread: no token stands for more. */
  readonly charsPerToken: number
  /** `max_tokens` of a chat that names none. */
  readonly chatTokens: number
  /** `max_tokens` of a completion that names none; 16 is what OpenAI documents. */
  readonly completionTokens: number
}

/** The limits of a frontend that is told no others. */
export const defaultLimits: FrontendLimits = {
  bodyBytes: 1 << 20,
  requests: 64,
  connections: 1024,
  requestMillis: 120_000,
  uploadMillis: 30_000,
  receipts: 1000,
  evidence: 16,
  workerAnswerBytes: 64 << 20,
  connectMillis: 2000,
  healthMillis: 2000,
  releaseMillis: 2000,
  drainMillis: 2000,
  stopStrings: 4,
  stopChars: 1024,
  charsPerToken: 128,
  chatTokens: 256,
  completionTokens: 16,
}
