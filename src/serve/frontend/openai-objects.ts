import type { GenerationEndpoint } from "./generation-request.ts"
import type { FinishReason } from "./request-record.ts"

/** Token counts as OpenAI names them. */
export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

/** Token counts of one request. */
export function usageOf(promptTokens: number, completionTokens: number): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  }
}

/** What all objects of one answer have in common. */
export interface AnswerHead {
  readonly endpoint: GenerationEndpoint
  readonly id: string
  /** Unix seconds. */
  readonly created: number
  readonly model: string
}

/** The head of an answer, whose id is made of the request's. */
export function answerHead(
  endpoint: GenerationEndpoint,
  requestId: string,
  startedAt: string,
  model: string,
): AnswerHead {
  const prefix = endpoint === "completions" ? "cmpl" : "chatcmpl"
  return { endpoint, id: `${prefix}-${requestId}`, created: Math.floor(Date.parse(startedAt) / 1000), model }
}

/** A whole answer. */
export function wholeAnswer(
  head: AnswerHead,
  text: string,
  finishReason: FinishReason,
  usage: Usage,
): object {
  if (head.endpoint === "completions") {
    const choice = { index: 0, text, logprobs: null, finish_reason: finishReason }
    return { ...fields(head, "text_completion"), choices: [choice], usage }
  }
  const message = { role: "assistant", content: text, refusal: null }
  const choice = { index: 0, message, logprobs: null, finish_reason: finishReason }
  return { ...fields(head, "chat.completion"), choices: [choice], usage }
}

/** The first chunk of a streamed chat: who speaks. A streamed completion has none. */
export function roleChunk(head: AnswerHead): object | undefined {
  if (head.endpoint === "completions") return undefined
  return chatChunk(head, { role: "assistant", content: "" }, null)
}

/** A chunk with a piece of text. */
export function textChunk(head: AnswerHead, text: string): object {
  return head.endpoint === "completions"
    ? textCompletionChunk(head, text, null)
    : chatChunk(head, { content: text }, null)
}

/** The chunk that says why the text ended. */
export function finishChunk(head: AnswerHead, finishReason: FinishReason): object {
  return head.endpoint === "completions"
    ? textCompletionChunk(head, "", finishReason)
    : chatChunk(head, {}, finishReason)
}

/** The chunk after the last, for clients that asked for the usage. */
export function usageChunk(head: AnswerHead, usage: Usage): object {
  const object = head.endpoint === "completions" ? "text_completion" : "chat.completion.chunk"
  return { ...fields(head, object), choices: [], usage }
}

function chatChunk(head: AnswerHead, delta: object, finishReason: FinishReason | null): object {
  const choice = { index: 0, delta, logprobs: null, finish_reason: finishReason }
  return { ...fields(head, "chat.completion.chunk"), choices: [choice] }
}

function textCompletionChunk(head: AnswerHead, text: string, finishReason: FinishReason | null): object {
  const choice = { index: 0, text, logprobs: null, finish_reason: finishReason }
  return { ...fields(head, "text_completion"), choices: [choice] }
}

function fields({ id, created, model }: AnswerHead, object: string): object {
  return { id, object, created, model }
}
