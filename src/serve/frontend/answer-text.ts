import { StopScanner } from "./stop-scanner.ts"
import type { AnswerDecoder, TextCodec } from "./text-codec.ts"

/** Turns the tokens of one answer into the text that the client sees. */
export class AnswerText {
  readonly #decoder: AnswerDecoder
  readonly #scanner: StopScanner
  readonly #endTokens: ReadonlySet<number>

  constructor(codec: TextCodec, stops: readonly string[], endTokens: ReadonlySet<number>) {
    this.#decoder = codec.openDecoder()
    this.#scanner = new StopScanner(stops)
    this.#endTokens = endTokens
  }

  /** True once a stop string was seen. */
  get stopped(): boolean {
    return this.#scanner.stopped
  }

  /** The text that `token` makes sure of; often empty. */
  push(token: number): string {
    // With ignore_eos end tokens do arrive; they count as tokens, but their names are not text.
    if (this.#endTokens.has(token)) return ""
    return this.#scanner.push(this.#decoder.push(token))
  }

  /** What is left at the end. */
  end(): string {
    if (this.stopped) return ""
    return this.#scanner.push(this.#decoder.end()) + this.#scanner.end()
  }
}
