import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { receiptSchema, type TransferReceipt } from "../../receipt/receipt.ts"
import type { DecodeEvent, DecodeRequest, PrefillAnswer, PrefillRequest } from "../protocol.ts"
import type { ChatRenderer } from "./chat-renderer.ts"
import { type Frontend, type FrontendOptions, openFrontend } from "./frontend.ts"
import { silentLog } from "./log.ts"
import type { TextCodec } from "./text-codec.ts"

/** One call that a scripted worker got. */
interface SeenCall {
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  readonly body: unknown
  /** Resolves to the moment (performance.now) at which the connection closed before the answer was complete. */
  readonly cutOff: Promise<number>
}

type Act<B> = (body: B, response: ServerResponse) => void | Promise<void>

/** What a scripted worker does with each call; where it says nothing, it works. */
export interface Script {
  prefill?: Act<PrefillRequest>
  decode?: Act<DecodeRequest>
  release?: Act<unknown>
  health?: Act<unknown>
}

export interface ScriptedWorker {
  readonly url: string
  readonly calls: SeenCall[]
  /** Replaced at will between requests. */
  script: Script
  /** The first call to a path, as soon as it comes. */
  called(path: string): Promise<SeenCall>
  /** Destroys every connection and stops listening, as a process that dies. */
  die(): Promise<void>
}

export const SECRET = "s3cret-of-the-tests"
const END_TOKEN = 256
export const CONTEXT_TOKENS = 512

/** A worker on a real socket that does what a test tells it to. */
export async function openScriptedWorker(
  role: "prefill" | "decode",
  script: Script = {},
): Promise<ScriptedWorker> {
  const calls: SeenCall[] = []
  const waiting: (() => void)[] = []
  const answerHealth: Act<unknown> = (_, response) => sendJson(response, 200, healthOf(role))
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const cutOff = new Promise<number>((resolve) => {
      outgoing.on("close", () => {
        if (!outgoing.writableFinished) resolve(performance.now())
      })
    })
    const body = text === "" ? undefined : JSON.parse(text)
    calls.push({ path: incoming.url ?? "", headers: incoming.headers, body, cutOff })
    for (const wake of waiting.splice(0)) wake()
    const { prefill = prefillFor("hello"), decode = streamText("hello"), release, health } = worker.script
    if (incoming.url === "/kvferry/v1/prefill") await prefill(body, outgoing)
    else if (incoming.url === "/kvferry/v1/decode") await decode(body, outgoing)
    else if (incoming.url === "/kvferry/v1/release") await (release ?? answerEmpty)(body, outgoing)
    else await (health ?? answerHealth)(body, outgoing)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const worker: ScriptedWorker = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    script,
    async called(path) {
      for (;;) {
        const call = calls.find((seen) => seen.path === path)
        if (call !== undefined) return call
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
    async die() {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  return worker
}

/** The answer of a prefill that went well; its first token is the first of what the decode script will say. */
export function prefillAnswer(request: PrefillRequest, firstToken = 104): PrefillAnswer {
  return {
    requestId: request.requestId,
    firstToken,
    promptTokens: request.tokens.length,
    prefillMicros: 1234,
    handover: { agent: "127.0.0.1:7001", agentId: "prefill-0", bootId: "boot-p", lease: "lease-1" },
  }
}

/** Answers a prefill as a working worker would that drew the first token of `text`. */
function prefillFor(text: string): Act<PrefillRequest> {
  const first = Buffer.from(text)[0] ?? END_TOKEN
  return (request, response) => sendJson(response, 200, prefillAnswer(request, first))
}

/** The two scripts of a pair of workers that answers with `text`. */
export function saying(text: string, pauseMillis = 0): { prefill: Script; decode: Script } {
  return { prefill: { prefill: prefillFor(text) }, decode: { decode: streamText(text, pauseMillis) } }
}

/** All items of an async iterable. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Sends JSON. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

const answerEmpty: Act<unknown> = (_, response) => sendJson(response, 200, {})

/** What a worker in good health says. */
export function healthOf(role: "prefill" | "decode"): object {
  return {
    status: "ok",
    role,
    pid: role === "prefill" ? 4101 : 4102,
    agentId: `${role}-0`,
    bootId: `boot-${role[0]}`,
    agent: "127.0.0.1:7001",
    model: { name: "tiny", fingerprint: "f00d", contextTokens: CONTEXT_TOKENS, vocabSize: 257 },
    pool: { blocks: 64, free: 60 },
    counters: { promptTokens: 0, decodeTokens: 0 },
  }
}

/** A receipt of a transfer that went well. */
export function receiptOf(request: DecodeRequest): TransferReceipt {
  return {
    schema: receiptSchema,
    ticket: "ticket-1",
    requestId: request.requestId,
    trace: request.trace,
    state: "delivered",
    endedAt: "2026-11-20T12:00:00.000Z",
    direction: "read",
    mode: "copy",
    source: { pid: 4101, agentId: "prefill-0", bootId: request.handover.bootId },
    target: { pid: 4102, agentId: "decode-0", bootId: "boot-d" },
    path: { transport: "tcp", why: "policy allows tcp only", rails: [{ rail: 0, bytes: 65536 }] },
    tokens: request.promptTokens,
    layers: 4,
    blocks: 2,
    pieces: 8,
    bytes: 65536,
    micros: { grant: 200, plan: 10, post: 5, move: 80, prove: 30, total: 320 },
    bytesPerSecond: 65536 / 80e-6,
    retries: 0,
    integrity: { level: "full", checked: 8, epochs: 2, verdict: "identical" },
  }
}

/** One line of a decode stream. */
export function line(event: DecodeEvent): string {
  return `${JSON.stringify(event)}\n`
}

/** The event that a decode begins with. */
export function transferred(request: DecodeRequest): DecodeEvent {
  return { event: "transferred", receipt: { ...receiptOf(request) } }
}

/** The tokens of a text, from `from` on. */
export function tokenEvents(text: string, from = 0): DecodeEvent[] {
  return [...Buffer.from(text)]
    .slice(from)
    .map((token, index) => ({ event: "token", index: from + index, token }))
}

/** The event that a decode ends with. */
export function endEvent(tokens: number, reason: "stop" | "length" = "stop"): DecodeEvent {
  return { event: "end", reason, tokens, decodeMicros: 5678, promptTokensComputed: 0 }
}

/** A decode that says `text`, one read at a time, and stops; `maxTokens` cuts it. */
export function streamText(text: string, pauseMillis = 0): Act<DecodeRequest> {
  return async (request, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" })
    response.write(line(transferred(request)))
    const all = tokenEvents(text)
    for (const event of all.slice(0, request.maxTokens)) {
      if (pauseMillis > 0) await new Promise((resolve) => setTimeout(resolve, pauseMillis))
      if (response.destroyed) return
      response.write(line(event))
    }
    const cut = all.length >= request.maxTokens
    response.end(line(endEvent(cut ? request.maxTokens : all.length + 1, cut ? "length" : "stop")))
  }
}

/** Bytes are the tokens, and token 256 ends an answer. */
export const byteCodec: TextCodec = {
  encode: (text) => Uint32Array.from(Buffer.from(text)),
  openDecoder() {
    const decoder = new TextDecoder()
    return {
      push: (token) => decoder.decode(Uint8Array.of(token), { stream: true }),
      end: () => decoder.decode(),
    }
  },
}

/** A template that refuses two messages of one role in a row. */
export const plainTemplate: ChatRenderer = {
  render(messages) {
    if (messages.some(({ role }, at) => role === messages[at - 1]?.role)) {
      throw new Error("roles must alternate")
    }
    return `${messages.map(({ role, content }) => `<${role}>${content}`).join("")}<assistant>`
  },
}

export interface Setup {
  readonly prefill: ScriptedWorker
  readonly decode: ScriptedWorker
  readonly frontend: Frontend
  /** Posts JSON to the frontend. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>
  /** The newest receipts. */
  receipts(query?: string, headers?: Record<string, string>): Promise<Record<string, unknown>[]>
}

/** A frontend over one scripted worker of each kind. It and they are closed when the test ends. */
export async function openSetup(
  t: { after(fn: () => Promise<void>): void },
  scripts: { prefill?: Script; decode?: Script } = {},
  options: Partial<FrontendOptions> = {},
): Promise<Setup> {
  const prefill = await openScriptedWorker("prefill", scripts.prefill)
  const decode = await openScriptedWorker("decode", scripts.decode)
  const frontend = await openFrontend({
    prefill: [prefill.url],
    decode: [decode.url],
    secret: SECRET,
    tokenizer: byteCodec,
    chatTemplate: plainTemplate,
    modelName: "tiny",
    contextTokens: CONTEXT_TOKENS,
    endTokens: [END_TOKEN],
    vocabSize: 257,
    log: silentLog,
    ...options,
    limits: { drainMillis: 0, ...options.limits },
  })
  t.after(async () => {
    await frontend.close()
    await Promise.allSettled([prefill.die(), decode.die()])
  })
  return {
    prefill,
    decode,
    frontend,
    post: (path, body, headers = {}) =>
      fetch(frontend.url + path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    async receipts(query = "", headers = {}) {
      const response = await fetch(`${frontend.url}/kvferry/v1/receipts${query}`, { headers })
      return ((await response.json()) as { data: Record<string, unknown>[] }).data
    },
  }
}

/** What a client is told of a request that fails. */
export interface Told {
  readonly status: number
  readonly error: { message: string; type: string; param: string | null; code: string }
  readonly headers: Headers
}

/** Posts and reads the error that comes back. */
export async function told(
  setup: Setup,
  path: string,
  body: unknown,
  headers?: Record<string, string>,
): Promise<Told> {
  const response = await setup.post(path, body, headers)
  const { error } = (await response.json()) as { error: Told["error"] }
  return { status: response.status, error, headers: response.headers }
}
