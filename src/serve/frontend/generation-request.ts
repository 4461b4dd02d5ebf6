import { randomInt } from "node:crypto"
import type { Sampling } from "../protocol.ts"
import { ApiError, invalidParam } from "./api-error.ts"
import { chatMessages } from "./chat-messages.ts"
import type { ChatMessage } from "./chat-renderer.ts"
import { type CompletionPrompt, completionPrompt } from "./completion-prompt.ts"
import { type Fields, flag, given, isFields, numberIn, wholeNumber } from "./fields.ts"
import type { FrontendLimits } from "./limits.ts"
import { printable } from "./printable.ts"
import { refuseUnsupported } from "./unsupported.ts"

/** The two ways to ask for text. */
export type GenerationEndpoint = "completions" | "chat_completions"

/** What is to be continued. */
export type Prompt = CompletionPrompt | { readonly kind: "chat"; readonly messages: readonly ChatMessage[] }

/** A client's request, every field checked. */
export interface GenerationRequest {
  readonly endpoint: GenerationEndpoint
  readonly prompt: Prompt
  /** Undefined when the client left it to us. */
  readonly maxTokens: number | undefined
  readonly sampling: Sampling
  readonly stop: readonly string[]
  readonly stream: boolean
  /** Send the usage as one more chunk at the end of a stream. */
  readonly includeUsage: boolean
  /** Go on past the model's end-of-text token. */
  readonly ignoreEnd: boolean
}

/** What the served model allows. */
export interface ServedModel {
  readonly modelName: string
  readonly contextTokens: number
  readonly vocabSize: number
}

const SEED_MAX = 0xffff_ffff

/** @throws ApiError that names the parameter at fault and says what is allowed. */
export function readGenerationRequest(
  endpoint: GenerationEndpoint,
  body: unknown,
  model: ServedModel,
  limits: FrontendLimits,
): GenerationRequest {
  if (!isFields(body)) {
    const message = `the body is ${printable(body)}; it must be a JSON object`
    throw new ApiError({ status: 400, message, code: "KV_REQUEST_INVALID" })
  }
  refuseOtherModels(body, model)
  refuseUnsupported(body)
  const stream = flag(body, "stream") ?? false
  return {
    endpoint,
    prompt: readPrompt(endpoint, body, model),
    maxTokens: readMaxTokens(body, model),
    sampling: readSampling(body),
    stop: readStop(body, limits),
    stream,
    includeUsage: readIncludeUsage(body, stream),
    ignoreEnd: flag(body, "ignore_eos") ?? false,
  }
}

function refuseOtherModels(body: Fields, { modelName }: ServedModel): void {
  const model = given(body, "model")
  // One model is served here: a request that names none means it, as with other servers of one model.
  if (model === undefined) return
  if (typeof model !== "string") {
    throw invalidParam("model", `model is ${printable(model)}; it must be ${printable(modelName)}`)
  }
  if (model !== modelName) throw modelNotFound(model, modelName)
}

/** 404 for a model that is not the one served. */
export function modelNotFound(model: string, modelName: string): ApiError {
  const message = `the model ${printable(model)} is not served here; ${printable(modelName)} is`
  return new ApiError({ status: 404, message, code: "model_not_found", param: "model" })
}

function readPrompt(endpoint: GenerationEndpoint, body: Fields, { vocabSize }: ServedModel): Prompt {
  if (endpoint === "completions") return completionPrompt(given(body, "prompt"), vocabSize)
  return { kind: "chat", messages: chatMessages(given(body, "messages")) }
}

// OpenAI renamed it; where a client sends both, the newer name counts.
function readMaxTokens(body: Fields, { contextTokens }: ServedModel): number | undefined {
  const older = wholeNumber(body, "max_tokens", 1, contextTokens)
  return wholeNumber(body, "max_completion_tokens", 1, contextTokens) ?? older
}

function readSampling(body: Fields): Sampling {
  return {
    temperature: numberIn(body, "temperature", "from 0 to 2", (value) => value >= 0 && value <= 2) ?? 1,
    topP: numberIn(body, "top_p", "above 0 and up to 1", (value) => value > 0 && value <= 1) ?? 1,
    // Drawn here rather than by a worker: prefill and decode must use the same one, and the receipt tells it.
    seed: wholeNumber(body, "seed", 0, SEED_MAX) ?? randomInt(SEED_MAX + 1),
  }
}

function readStop(body: Fields, { stopStrings, stopChars }: FrontendLimits): readonly string[] {
  const value = given(body, "stop")
  if (value === undefined) return []
  const stops: readonly unknown[] = Array.isArray(value) ? value : [value]
  const allowed = `up to ${stopStrings} strings of 1 to ${stopChars} characters`
  const problem =
    stops.length > stopStrings
      ? `stop holds ${stops.length} strings`
      : stops.some((stop) => typeof stop !== "string" || stop.length < 1 || stop.length > stopChars)
        ? `stop is ${printable(value)}`
        : undefined
  if (problem !== undefined) throw invalidParam("stop", `${problem}; it must be ${allowed}`)
  return stops as readonly string[]
}

function readIncludeUsage(body: Fields, stream: boolean): boolean {
  const options = given(body, "stream_options")
  if (options === undefined) return false
  if (!isFields(options)) {
    throw invalidParam("stream_options", `stream_options is ${printable(options)}; it must be an object`)
  }
  if (!stream)
    throw invalidParam("stream_options", "stream_options is for streams; set stream to true or leave it out")
  const include = given(options, "include_usage")
  if (include === undefined || typeof include === "boolean") return include ?? false
  throw invalidParam(
    "stream_options.include_usage",
    `stream_options.include_usage is ${printable(include)}; it must be true or false`,
  )
}
