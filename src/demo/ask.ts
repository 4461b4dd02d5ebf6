import { KvError } from "../errors/kv-error.ts"
import type { RequestRecord } from "../serve/frontend/request-record.ts"
import type { DemoPrompt } from "./prompts.ts"

/** What came back through the frontend for one prompt. */
export interface Answer {
  readonly text: string
  /** The frontend's record of the request, evidence included; also there when the request failed. */
  readonly record: RequestRecord
  /** What the client was told, when it was an error. */
  readonly error?: string
}

/** How the demo asks. */
export interface AskOptions {
  readonly url: string
  readonly model: string
  readonly bearer: string
  readonly temperature: number
  readonly seed: number
  readonly onText: (text: string) => void
  readonly signal: AbortSignal
}

/**
 * Sends one prompt through the frontend's OpenAI port, streams the answer, and fetches the request's record.
 * @throws KvError KV_PEER_UNREACHABLE when the frontend is gone.
 */
export async function ask(prompt: DemoPrompt, options: AskOptions): Promise<Answer> {
  const requestId = `demo-${crypto.randomUUID()}`
  const authorization = `Bearer ${options.bearer}`
  const response = await reach(`${options.url}/v1/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-request-id": requestId,
      "x-kvferry-evidence": "1",
      authorization,
    },
    body: JSON.stringify({
      model: options.model,
      prompt: prompt.tokens,
      max_tokens: prompt.maxTokens,
      temperature: options.temperature,
      seed: options.seed,
      stream: true,
    }),
    signal: options.signal,
  })
  const { text, error } = response.ok
    ? await readStream(response, options.onText)
    : { text: "", error: errorMessage(await response.text()) }
  // What was refused before it began has no record: there is nothing to wait for.
  const record = await fetchRecord(options.url, requestId, authorization, response.status === 400 ? 1 : 50)
  if (record === undefined) {
    throw new KvError("KV_REQUEST_INVALID", {
      what:
        error === undefined
          ? `the frontend kept no record of ${requestId}`
          : "the frontend refused the prompt",
      ...(error === undefined ? {} : { why: error }),
      next: "check that tokenizer.json and config.json of the model belong together",
    })
  }
  return { text, record, ...(error === undefined ? {} : { error }) }
}

async function readStream(
  response: Response,
  onText: (text: string) => void,
): Promise<{ text: string; error: string | undefined }> {
  let text = ""
  let buffered = ""
  const decoder = new TextDecoder()
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    buffered += decoder.decode(chunk, { stream: true })
    for (let end = buffered.indexOf("\n"); end >= 0; end = buffered.indexOf("\n")) {
      const line = buffered.slice(0, end)
      buffered = buffered.slice(end + 1)
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue
      const event = JSON.parse(line.slice(6)) as { choices?: { text: string }[]; error?: unknown }
      if (event.error !== undefined) return { text, error: errorMessage(JSON.stringify(event)) }
      const piece = event.choices?.[0]?.text ?? ""
      text += piece
      onText(piece)
    }
  }
  return { text, error: undefined }
}

/** The record is written when the stream has ended; a moment may pass between the two. */
async function fetchRecord(
  url: string,
  requestId: string,
  authorization: string,
  triesMax: number,
): Promise<RequestRecord | undefined> {
  for (let tries = 0; tries < triesMax; tries++) {
    const query = new URLSearchParams({ request: requestId })
    const response = await reach(`${url}/kvferry/v1/receipts?${query}`, { headers: { authorization } })
    const body = (await response.json()) as { data?: RequestRecord[] }
    const record = body.data?.[0]
    if (record !== undefined) return record
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return undefined
}

async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init)
  } catch (thrown) {
    const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown
    throw new KvError("KV_PEER_UNREACHABLE", {
      what: `the frontend at ${new URL(url).origin} cannot be reached`,
      why: cause instanceof Error ? cause.message : String(cause),
      cause: thrown,
    })
  }
}

function errorMessage(body: string): string {
  try {
    const parsed = JSON.parse(body) as { error?: { message?: unknown } }
    return String(parsed.error?.message ?? body)
  } catch {
    return body.slice(0, 500)
  }
}
