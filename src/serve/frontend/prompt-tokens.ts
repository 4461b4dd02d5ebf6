import { KvError } from "../../errors/kv-error.ts"
import { ApiError, invalidParam } from "./api-error.ts"
import type { ChatMessage, ChatRenderer } from "./chat-renderer.ts"
import type { GenerationRequest } from "./generation-request.ts"
import type { FrontendLimits } from "./limits.ts"
import { printable } from "./printable.ts"
import type { TextCodec } from "./text-codec.ts"

/** What turns a prompt into tokens. */
export interface PromptTools {
  readonly tokenizer: TextCodec
  readonly chatTemplate: ChatRenderer
  readonly contextTokens: number
  readonly limits: FrontendLimits
}

/** A prompt as the workers take it. */
export interface TokenizedPrompt {
  readonly tokens: Uint32Array
  /** Tokens to generate at most: prompt and answer fit the context together. */
  readonly maxTokens: number
}

/** @throws ApiError 400 for an empty prompt, for one the template refuses, and for one that does not fit. */
export function tokenizePrompt(request: GenerationRequest, tools: PromptTools): TokenizedPrompt {
  const tokens = promptTokens(request, tools)
  const { contextTokens, limits } = tools
  if (tokens.length === 0)
    throw invalidParam(paramOf(request), "the prompt is empty; send at least one token")
  const left = contextTokens - tokens.length
  const usual = request.endpoint === "completions" ? limits.completionTokens : limits.chatTokens
  if (left < (request.maxTokens ?? 1)) throw contextExceeded(request, tokens.length, contextTokens)
  return { tokens, maxTokens: request.maxTokens ?? Math.min(left, usual) }
}

function promptTokens(request: GenerationRequest, tools: PromptTools): Uint32Array {
  const { prompt } = request
  if (prompt.kind === "tokens") return prompt.tokens
  if (prompt.kind === "text") {
    refuseHugeText(request, prompt.text.length, tools)
    return tools.tokenizer.encode(prompt.text)
  }
  const chars = prompt.messages.reduce((sum, message) => sum + message.content.length, 0)
  refuseHugeText(request, chars, tools)
  const rendered = renderChat(prompt.messages, tools)
  return tools.tokenizer.encodeChat?.(rendered) ?? tools.tokenizer.encode(rendered)
}

// Tokenising is the one computation of this process, and nothing else runs meanwhile.
function refuseHugeText(
  request: GenerationRequest,
  chars: number,
  { contextTokens, limits }: PromptTools,
): void {
  const most = contextTokens * limits.charsPerToken
  if (chars <= most) return
  const message = `the prompt has ${chars} characters; more than ${most} cannot fit the context of ${contextTokens} tokens. Shorten it`
  throw new ApiError({ status: 400, message, code: "context_length_exceeded", param: paramOf(request) })
}

function renderChat(messages: readonly ChatMessage[], { chatTemplate }: PromptTools): string {
  if (chatTemplate.exists === false) {
    throw invalidParam("messages", "this model has no chat template; send a plain prompt to /v1/completions")
  }
  try {
    return chatTemplate.render(messages)
  } catch (thrown) {
    throw invalidParam("messages", `the model's chat template refused these messages: ${refusal(thrown)}`)
  }
}

// Not the advice of such an error: it is for whoever has the model's files, and names their folder.
function refusal(thrown: unknown): string {
  if (thrown instanceof KvError) return printable(thrown.why ?? thrown.what, 200)
  return printable(thrown instanceof Error ? thrown.message : String(thrown), 200)
}

function contextExceeded(request: GenerationRequest, promptTokens: number, contextTokens: number): ApiError {
  const asked = request.maxTokens === undefined ? "" : ` and ${request.maxTokens} were asked for`
  return new ApiError({
    status: 400,
    message: `the context holds ${contextTokens} tokens; the prompt has ${promptTokens}${asked}. Shorten the prompt or lower max_tokens`,
    code: "context_length_exceeded",
    param: paramOf(request),
  })
}

function paramOf({ endpoint }: GenerationRequest): string {
  return endpoint === "completions" ? "prompt" : "messages"
}
