import { existsSync, readFileSync } from "node:fs"
import { KvError } from "../errors/kv-error.ts"
import { countText } from "../terminal/units.ts"

/** A prompt of the demo, already as tokens, so that its length is exact. */
export interface DemoPrompt {
  /** What it is there for. */
  readonly title: string
  readonly tokens: readonly number[]
  readonly maxTokens: number
  /** What a reader sees of it: the question, or the end of the text. */
  readonly shown: string
  /** What the document says; undefined for prompts without a question. */
  readonly expected?: string
}

/** What the demo needs of a tokeniser. */
export interface PromptCodec {
  encode(text: string): Uint32Array
  decode(tokens: ArrayLike<number>): string
}

interface Question {
  readonly question: string
  readonly answer: string
  readonly evidence: string
}

const assets = new URL("../../assets/demo/", import.meta.url)
const answerTokens = 24
/** Tokens of an answer to a prompt of the user's own, as far as the context has room. */
const ownAnswerTokens = 48

/**
 * The demo's own prompts: windows of a document that the model was not trained on, each with a question.
 *
 * Lengths in tokens: 1; several exactly on the edge of a block; several off it; one that leaves just room for its
 * answer in the context.
 */
export function defaultPrompts(codec: PromptCodec, contextTokens: number, blockTokens: number): DemoPrompt[] {
  const document = readFileSync(new URL("document.txt", assets), "utf8").trim()
  const questions = JSON.parse(readFileSync(new URL("questions.json", assets), "utf8")) as Question[]
  const first = codec.encode("")[0] ?? codec.encode("The").at(-1) ?? 0
  const shown = codec.decode([first]) || "(the begin-of-text token alone)"
  const one: DemoPrompt = { title: "one token", tokens: [first], maxTokens: answerTokens / 2, shown }
  const fill = Math.min(contextTokens, 2048) - answerTokens
  const edge = (blocks: number): number => blocks * blockTokens
  const lengths: [string, number][] = [
    ["on a block edge", edge(4)],
    ["one token over a block edge", edge(8) + 1],
    ["on a block edge", edge(16)],
    ["off the edges", edge(31) + 5],
    ["on a block edge", edge(48)],
    ["fills the context with its answer", fill],
  ]
  const prompts = lengths
    .filter(([, length]) => length > 0 && length <= fill)
    .map(([title, length], i) => windowOf(codec, document, questions, i, title, length))
  return [one, ...prompts]
}

/** Cuts a window of the document that holds the answer to a question, so that all is `length` tokens long. */
function windowOf(
  codec: PromptCodec,
  document: string,
  questions: readonly Question[],
  nth: number,
  title: string,
  length: number,
): DemoPrompt {
  // What the tokeniser puts before every text, a begin-of-text token for example: once, at the very start.
  const begin = codec.encode("")
  const bare = (text: string): number[] => [...codec.encode(text).subarray(begin.length)]
  for (let tries = 0; tries < questions.length; tries++) {
    const question = questions[(nth * 7 + tries) % questions.length]!
    const start = document.indexOf(question.evidence)
    const end = start + question.evidence.length
    const tail = bare(`\nQ: ${question.question}\nA:`)
    const room = length - begin.length - tail.length
    if (start < 0 || room < bare(question.evidence).length) continue
    const before = bare(document.slice(0, end))
    const after = bare(document.slice(end))
    // The evidence lies about two thirds into the window; what is missing in front is taken from behind.
    const behind = Math.min(after.length, Math.max(Math.floor(room / 3), room - before.length))
    const body = [...before.slice(-(room - behind)), ...after.slice(0, behind)]
    // A document that is too short for a large context is told again from its end.
    while (body.length < room) body.unshift(...before.slice(-(room - body.length)))
    return {
      title,
      tokens: [...begin, ...body, ...tail],
      maxTokens: answerTokens,
      shown: question.question,
      expected: question.answer,
    }
  }
  throw new KvError("KV_USAGE", { what: `no question of the demo fits into ${length} tokens` })
}

/** A prompt of the user's own. @throws KvError KV_PROMPT_TOO_LONG, KV_PROMPT_INVALID. */
export function ownPrompt(
  codec: PromptCodec,
  text: string,
  contextTokens: number,
  maxTokens: number | undefined,
): DemoPrompt {
  const tokens = [...codec.encode(text)]
  // A tokeniser may begin even an empty text with a token of its own.
  if (text === "" || tokens.length === 0) {
    throw new KvError("KV_PROMPT_INVALID", {
      what: "the prompt is empty",
      next: "give it at least one character",
    })
  }
  const room = contextTokens - tokens.length
  const wanted = maxTokens ?? Math.max(1, Math.min(ownAnswerTokens, room))
  if (wanted > room) {
    throw new KvError("KV_PROMPT_TOO_LONG", {
      what: `the prompt has ${countText(tokens.length, "token")}, and the answer may have ${wanted}`,
      why: `the model's context holds ${contextTokens}`,
      next:
        room < 1
          ? `shorten the prompt to at most ${countText(contextTokens - 1, "token")}`
          : `ask for at most ${countText(room, "token")} with --max-tokens, or shorten the prompt`,
    })
  }
  return {
    title: "your prompt",
    tokens,
    maxTokens: wanted,
    shown: text.length > 160 ? `…${text.slice(-160)}` : text,
  }
}

/** Reads a prompt file. @throws KvError KV_PROMPT_INVALID when it cannot be read or is not UTF-8. */
export function readPromptFile(path: string): string {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
  } catch (thrown) {
    throw new KvError("KV_PROMPT_INVALID", {
      what: `the prompt file ${path} cannot be read`,
      why: thrown instanceof Error ? thrown.message : String(thrown),
      next: existsSync(path) ? "name a file of text that you may read" : "check the path",
      cause: thrown,
    })
  }
  return promptText(bytes, path)
}

/** Bytes as text. @throws KvError KV_PROMPT_INVALID naming the first byte that is not UTF-8. */
export function promptText(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (thrown) {
    throw new KvError("KV_PROMPT_INVALID", {
      what: `${source} is not UTF-8: byte ${firstBadByte(bytes)} of ${bytes.byteLength} does not fit`,
      next: "convert it, for example with: iconv -f latin1 -t utf-8",
      cause: thrown,
    })
  }
}

/** Offset of the first byte at which the text stops being UTF-8, by halving. */
function firstBadByte(bytes: Uint8Array): number {
  let good = 0
  let bad = bytes.byteLength
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    const decoder = new TextDecoder("utf-8", { fatal: true })
    try {
      decoder.decode(bytes.subarray(0, middle), { stream: true })
      good = middle
    } catch {
      bad = middle
    }
  }
  // The last bytes of the good part may be a character that was never finished: it begins at the fault.
  while (good > 0 && !isWhole(bytes.subarray(0, good))) good -= 1
  return good
}

function isWhole(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}
