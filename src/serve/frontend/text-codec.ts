/** Turns text into tokens and back: what the frontend needs of a tokenizer. */
export interface TextCodec {
  /** Tokens of a plain prompt. */
  encode(text: string): Uint32Array
  /** Tokens of a rendered chat, when it is encoded otherwise than plain text (its special tokens are in the text). */
  encodeChat?(rendered: string): Uint32Array
  /** Begins the text of one answer. */
  openDecoder(): AnswerDecoder
}

/** Text of tokens as they come: a character whose bytes are spread over tokens appears when it is whole. */
export interface AnswerDecoder {
  /** The text that `token` completes; may be empty. */
  push(token: number): string
  /** What is left when no token follows. */
  end(): string
}
