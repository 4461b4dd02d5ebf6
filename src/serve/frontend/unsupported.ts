import { invalidParam } from "./api-error.ts"
import { type Fields, given, isFields } from "./fields.ts"
import { printable } from "./printable.ts"

type Harmless = (value: unknown) => boolean

const only =
  (...values: readonly unknown[]): Harmless =>
  (value) =>
    values.includes(value)
const emptyArray: Harmless = (value) => Array.isArray(value) && value.length === 0
const emptyObject: Harmless = (value) => isFields(value) && Object.keys(value).length === 0
const plainText: Harmless = (value) => isFields(value) && value["type"] === "text"
const textOnly: Harmless = (value) => Array.isArray(value) && value.every((item) => item === "text")
const never: Harmless = () => false

/**
 * Parameters that would change the answer and that we do not have, each with the values that ask for nothing.
 *
 * Anything not listed is ignored, as other OpenAI-compatible servers do.
 */
const unsupported: Readonly<Record<string, Harmless>> = {
  n: only(1),
  best_of: only(1),
  echo: only(false),
  suffix: only(""),
  logprobs: only(false),
  top_logprobs: only(0),
  prompt_logprobs: never,
  logit_bias: emptyObject,
  presence_penalty: only(0),
  frequency_penalty: only(0),
  repetition_penalty: only(1),
  length_penalty: only(1),
  top_k: only(0, -1),
  min_p: only(0),
  stop_token_ids: emptyArray,
  bad_words: emptyArray,
  use_beam_search: only(false),
  prompt_embeds: never,
  tools: emptyArray,
  tool_choice: only("none", "auto"),
  functions: emptyArray,
  function_call: only("none", "auto"),
  response_format: plainText,
  structured_outputs: never,
  modalities: textOnly,
  audio: never,
  prediction: never,
  reasoning_effort: only("none"),
  web_search_options: never,
}

/** @throws ApiError 400 naming the first parameter that asks for something we do not do. */
export function refuseUnsupported(fields: Fields): void {
  for (const [name, harmless] of Object.entries(unsupported)) {
    const value = given(fields, name)
    if (value === undefined || harmless(value)) continue
    throw invalidParam(name, `${name} = ${printable(value)} is not supported; leave ${name} out`)
  }
  // With ignore_eos nothing can end the answer before max_tokens, so any min_tokens is kept already.
  const minTokens = given(fields, "min_tokens")
  if (minTokens !== undefined && minTokens !== 0 && given(fields, "ignore_eos") !== true) {
    throw invalidParam("min_tokens", "min_tokens is supported only together with ignore_eos; leave it out")
  }
}
