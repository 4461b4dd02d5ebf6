import { invalidParam } from "./api-error.ts"
import { printable } from "./printable.ts"

/** What a completion continues: text, or tokens that the client made itself. */
export type CompletionPrompt =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: Uint32Array }

/**
 * The one prompt of a completion request: a string, an array of one string, token ids, or an array of one array of those.
 *
 * @throws ApiError 400 for several prompts, for none, and for token ids outside the vocabulary
 */
export function completionPrompt(value: unknown, vocabSize: number): CompletionPrompt {
  if (typeof value === "string") return { kind: "text", text: value }
  if (!Array.isArray(value)) {
    throw invalidParam(
      "prompt",
      `prompt is ${printable(value)}; it must be a string or an array of token ids`,
    )
  }
  if (value.length === 0) throw invalidParam("prompt", "prompt is empty; send at least one token")
  const [first] = value
  if (typeof first !== "string" && !Array.isArray(first))
    return { kind: "tokens", tokens: tokenIds(value, vocabSize) }
  if (value.length > 1) {
    throw invalidParam("prompt", `prompt holds ${value.length} prompts; send one request for each`)
  }
  return typeof first === "string"
    ? { kind: "text", text: first }
    : { kind: "tokens", tokens: tokenIds(first, vocabSize) }
}

function tokenIds(values: readonly unknown[], vocabSize: number): Uint32Array {
  for (const [index, value] of values.entries()) {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < vocabSize) continue
    const allowed = `a token id is a whole number from 0 to ${vocabSize - 1}`
    throw invalidParam("prompt", `prompt[${index}] is ${printable(value)}; ${allowed}`)
  }
  return Uint32Array.from(values as readonly number[])
}
