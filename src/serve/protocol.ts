/**
 * What the frontend and a worker say to each other: JSON over HTTP with a bearer secret.
 *
 * A request is two calls. `prefill` computes the prompt and answers with its first token and a lease on the blocks;
 * `decode` pulls those blocks from the prefill worker's agent and streams tokens, one JSON object a line.
 * The prompt's tokens are in the first call only: a decode worker never sees them.
 */
import { z } from "zod"

/** Where a worker answers what. All but `health` and `metrics` want `authorization: Bearer <secret>`. */
export const workerRoutes = {
  prefill: "/kvferry/v1/prefill",
  decode: "/kvferry/v1/decode",
  release: "/kvferry/v1/release",
  health: "/health",
  metrics: "/metrics",
} as const

const uint = z.number().int().nonnegative()

/** How tokens are drawn. Temperature 0 is greedy; `seed` and the step decide every draw, so no state is handed over. */
export const samplingSchema = z.strictObject({
  temperature: z.number().min(0).max(2),
  topP: z.number().gt(0).max(1),
  seed: uint.max(0xffffffff),
})
export type Sampling = z.infer<typeof samplingSchema>

export const prefillRequestSchema = z.strictObject({
  requestId: z.string().min(1).max(128),
  /** Names this call alone, so that it can be released before its lease is known. */
  call: z.string().max(64).optional(),
  /** W3C `traceparent`. */
  trace: z.string().max(256),
  tokens: z
    .array(uint)
    .min(1)
    .max(1 << 20),
  sampling: samplingSchema,
  /** Asks for the hashes that the demo compares with a run in one process. */
  evidence: z.boolean().optional(),
})
export type PrefillRequest = z.infer<typeof prefillRequestSchema>

/** Where the decode worker finds the prompt's blocks. */
export const handoverSchema = z.strictObject({
  /** `host:port` of the prefill worker's agent. */
  agent: z.string().max(256),
  agentId: z.string().max(128),
  bootId: z.string().max(128),
  lease: z.string().max(128),
})

/** Proof material of the demo: hashes as 16 hex digits. */
export const evidenceSchema = z.strictObject({
  /** The token that each of these logits gave; an end-of-text token is the last, where the answer has one. */
  tokens: z.array(uint),
  /** One hash of the logits' bytes per computed position: the prompt's last, then each decode step. */
  logits: z.array(z.string()),
  /** `[layer][block position]` content hashes of the prompt's blocks. */
  blocks: z.array(z.array(z.string())),
  /** `[layer][block position][2 * head + plane]` content hashes, plane 0 = key, 1 = value. */
  heads: z.array(z.array(z.array(z.string()))),
})
export type Evidence = z.infer<typeof evidenceSchema>

export const prefillAnswerSchema = z.strictObject({
  requestId: z.string(),
  firstToken: uint,
  promptTokens: uint,
  /** Time the engine computed, in microseconds. */
  prefillMicros: uint,
  handover: handoverSchema,
  evidence: evidenceSchema.optional(),
})
export type PrefillAnswer = z.infer<typeof prefillAnswerSchema>

export const decodeRequestSchema = z.strictObject({
  requestId: z.string().min(1).max(128),
  trace: z.string().max(256),
  handover: handoverSchema,
  promptTokens: uint.min(1),
  firstToken: uint,
  /** Tokens to generate in all, the first one included. */
  maxTokens: uint.min(1),
  sampling: samplingSchema,
  /** Go on past the model's end-of-text token. */
  ignoreEnd: z.boolean().optional(),
  evidence: z.boolean().optional(),
})
export type DecodeRequest = z.infer<typeof decodeRequestSchema>

/** The worker ends a stream with exactly one `end` or `error` line; a stream without one was cut off. */
export const decodeEventSchema = z.discriminatedUnion("event", [
  /** The prompt's blocks are here and proven; tokens follow. `receipt` is a `TransferReceipt`. */
  z.looseObject({ event: z.literal("transferred"), receipt: z.looseObject({ schema: z.string() }) }),
  /** The first token is repeated here as index 0. An end-of-text token is not sent. */
  z.strictObject({ event: z.literal("token"), index: uint, token: uint }),
  z.strictObject({
    event: z.literal("end"),
    reason: z.enum(["stop", "length"]),
    tokens: uint,
    /** Time between the first and the last token, in microseconds. */
    decodeMicros: uint,
    /** Prompt tokens that this worker computed since it started: 0. */
    promptTokensComputed: uint,
    evidence: evidenceSchema.optional(),
  }),
  /** A transfer that failed brings its `receipt`, and, where evidence was asked for, hashes of what arrived. */
  z.strictObject({
    event: z.literal("error"),
    error: z.looseObject({ code: z.string(), what: z.string(), evidence: evidenceSchema.optional() }),
  }),
])
export type DecodeEvent = z.infer<typeof decodeEventSchema>

/**
 * Gives a lease back before any decode worker took it: the client hung up, or no worker was there.
 *
 * By its id, or by the `call` of a prefill whose answer was on its way when nobody waited for it any more.
 */
export const releaseRequestSchema = z.strictObject({
  requestId: z.string(),
  lease: z.string().optional(),
  call: z.string().max(64).optional(),
})
export type ReleaseRequest = z.infer<typeof releaseRequestSchema>

export const workerHealthSchema = z.looseObject({
  status: z.literal("ok"),
  role: z.enum(["prefill", "decode"]),
  pid: uint,
  agentId: z.string(),
  bootId: z.string(),
  agent: z.string(),
  model: z.looseObject({ name: z.string(), fingerprint: z.string(), contextTokens: uint, vocabSize: uint }),
  pool: z.looseObject({ blocks: uint, free: uint }),
  counters: z.looseObject({ promptTokens: uint, decodeTokens: uint }),
})
export type WorkerHealth = z.infer<typeof workerHealthSchema>
