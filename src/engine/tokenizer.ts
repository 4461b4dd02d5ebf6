import { join } from "node:path"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import type { KvError } from "../errors/kv-error.ts"
import { readJsonObject, readJsonObjectIfAny } from "./json-file.ts"
import { modelInvalid } from "./model-error.ts"

/** How a text becomes tokens. */
export interface EncodeOptions {
  /**
   * False for a rendered chat template, which has written its special tokens itself; otherwise a tokenizer that
   * begins every text with BOS would put a second one there. True unless given.
   */
  readonly addSpecialTokens?: boolean
}

/** Text to tokens and back, as the model was trained. */
export interface Tokenizer {
  /**
   * The tokens of `text`.
   *
   * As in transformers, the tokenizer's own post-processor adds its special tokens (BOS where the model wants one),
   * and special tokens spelled out in the text are recognised. What the vocabulary cannot express becomes its
   * unknown token, or nothing where it has none.
   * @throws KvError KV_MODEL_INVALID when the post-processor adds a token that the vocabulary lacks.
   */
  encode(text: string, options?: EncodeOptions): Uint32Array
  /** The text of `tokens`. Special tokens are left out, and no spaces are tidied up. */
  decode(tokens: ArrayLike<number>): string
  /** Begins to decode an answer token by token. */
  openDecoder(): TokenDecoder
}

/** Decodes one answer as it grows. All it returns, joined, is what `decode` returns for all tokens. */
export interface TokenDecoder {
  /** Adds a token. Returns the text that is certain now: never half of a character, so sometimes nothing. */
  push(token: number): string
  /** Ends the answer. Returns what was held back: U+FFFD for a character that was never finished. */
  end(): string
}

/**
 * Reads `tokenizer.json`, and `tokenizer_config.json` if there is one.
 * @throws KvError KV_MODEL_INVALID when a file is missing, is not JSON, or describes no tokenizer we know.
 */
export function readTokenizer(directory: string): Tokenizer {
  const path = join(directory, "tokenizer.json")
  const description = readJsonObject(path)
  const config = readJsonObjectIfAny(join(directory, "tokenizer_config.json")) ?? {}
  return tokenizerOver(openTokenizer(description, config, path))
}

function openTokenizer(description: object, config: object, path: string): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(description, config)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw modelInvalid(`${path} describes no tokenizer that can be used`, why, undefined, error)
  }
}

function tokenizerOver(inner: HuggingFaceTokenizer): Tokenizer {
  const special = new Set<number>()
  for (const [id, token] of inner.get_added_tokens_decoder()) {
    if (token.special) special.add(id)
  }
  const decode = (tokens: readonly number[]): string =>
    // Tidying spaces around punctuation depends on what follows, so a growing answer could not be decoded.
    tokens.length === 0 ? "" : inner.decode([...tokens], { clean_up_tokenization_spaces: false })
  const isVisible = (token: number): boolean => !special.has(token)
  return {
    encode: (text, options) => {
      const { ids, tokens } = inner.encode(text, { add_special_tokens: options?.addSpecialTokens ?? true })
      const unknown = ids.findIndex((id: number | undefined) => id === undefined)
      if (unknown >= 0) throw withoutId(tokens[unknown])
      return Uint32Array.from(ids)
    },
    decode: (tokens) => decode(Array.from(tokens).filter(isVisible)),
    openDecoder: () => openDecoder(decode, isVisible),
  }
}

const replacement = "\ufffd"

function openDecoder(
  decode: (tokens: readonly number[]) => string,
  isVisible: (token: number) => boolean,
): TokenDecoder {
  // The last token that is settled and those behind it. The first stays as context: decoders treat the first
  // token of a text differently, some drop its space.
  let open: number[] = []
  // How much of the text of `open` has been returned.
  let returned = 0
  const upTo = (text: string, end: number): string => {
    const piece = text.slice(returned, end)
    returned = Math.max(returned, end)
    return piece
  }
  return {
    push: (token) => {
      if (!isVisible(token)) return ""
      open.push(token)
      const text = decode(open)
      // A replacement character at the end may be the beginning of a character whose bytes are still to come.
      if (text.endsWith(replacement)) return upTo(text, text.length - 1)
      const piece = upTo(text, text.length)
      if (text !== "") {
        open = [token]
        returned = decode(open).length
      }
      return piece
    },
    end: () => {
      const text = decode(open)
      const piece = upTo(text, text.length)
      open = []
      returned = 0
      return piece
    },
  }
}

function withoutId(token: string | undefined): KvError {
  return modelInvalid(
    `the tokenizer adds ${JSON.stringify(token ?? "")}, a token that its own vocabulary lacks`,
  )
}
