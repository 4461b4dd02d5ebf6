import assert from "node:assert/strict"
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http"
import { createServer, connect as netConnect, type Socket } from "node:net"
import { after, test } from "node:test"
import {
  type DecodeEvent,
  type DecodeRequest,
  type PrefillAnswer,
  type WorkerHealth,
  workerRoutes,
} from "../protocol.ts"
import { serveWorker, type WorkerPort } from "./http.ts"
import { type KvWorker, openWorker, type WorkerOptions, type WorkerRole } from "./worker.ts"

const bearer = "b".repeat(64)
const secret = new Uint8Array(32).fill(3)
const sampling = { temperature: 0, topP: 1, seed: 0 }
const context = 512

interface Served extends AsyncDisposable {
  readonly worker: KvWorker
  readonly port: WorkerPort
}

async function serve(role: WorkerRole, options: Partial<WorkerOptions> = {}): Promise<Served> {
  const worker = await openWorker({
    role,
    source: { kind: "random", seed: 21 },
    credentials: { secret },
    host: "127.0.0.1",
    agentPort: 0,
    paths: ["tcp"],
    rails: 1,
    integrity: "full",
    leaseMillis: 60_000,
    transferMillis: 10_000,
    ...options,
  })
  const port = await serveWorker(worker, { host: "127.0.0.1", port: 0, bearer })
  return {
    worker,
    port,
    async [Symbol.asyncDispose]() {
      await port[Symbol.asyncDispose]()
      await worker[Symbol.asyncDispose]()
    },
  }
}

const prefiller = await serve("prefill")
const decoder = await serve("decode")
after(async () => {
  await decoder[Symbol.asyncDispose]()
  await prefiller[Symbol.asyncDispose]()
})

interface CallOptions {
  readonly method?: string
  readonly bearer?: string
  readonly body?: unknown
}

/** Starts a call; what came of it is up to the test. */
function start({ port }: Served, path: string, options: CallOptions = {}): ClientRequest {
  const text = typeof options.body === "string" ? options.body : JSON.stringify(options.body ?? {})
  const request = httpRequest({
    host: "127.0.0.1",
    port: port.port,
    path,
    method: options.method ?? "POST",
    agent: false,
    headers: {
      authorization: `Bearer ${options.bearer ?? bearer}`,
      "content-length": Buffer.byteLength(text),
    },
  })
  request.end(text)
  return request
}

const responseOf = (request: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => request.once("response", resolve).once("error", reject))

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ""
  for await (const chunk of response as AsyncIterable<Buffer>) text += chunk.toString()
  return text
}

interface Answer {
  readonly status: number
  readonly body: { readonly error?: { readonly code: string; readonly what: string } } & Record<
    string,
    unknown
  >
}

async function call(served: Served, path: string, options: CallOptions = {}): Promise<Answer> {
  const response = await responseOf(start(served, path, options))
  return { status: response.statusCode ?? 0, body: JSON.parse(await textOf(response)) as Answer["body"] }
}

async function health(served: Served): Promise<WorkerHealth> {
  const response = await responseOf(start(served, workerRoutes.health, { method: "GET" }))
  return JSON.parse(await textOf(response)) as WorkerHealth
}

/** Waits until so many blocks are free; the runner's own limit ends a wait for blocks that never come back. */
async function untilFree(served: Served, free: number): Promise<void> {
  while ((await health(served)).pool.free !== free) await new Promise((resolve) => setTimeout(resolve, 5))
}

function prefillBody(tokens: number, salt = 1): Record<string, unknown> {
  const prompt = Array.from({ length: tokens }, (_, i) => (i * 97 + salt * 31) % 320)
  return { requestId: `r-${salt}`, trace: "", tokens: prompt, sampling }
}

async function prefill(served: Served, tokens: number, salt = 1): Promise<PrefillAnswer> {
  const { status, body } = await call(served, workerRoutes.prefill, { body: prefillBody(tokens, salt) })
  assert.equal(status, 200, JSON.stringify(body))
  return body as unknown as PrefillAnswer
}

function decodeBody(prefilled: PrefillAnswer, changes: Partial<DecodeRequest> = {}): DecodeRequest {
  const { requestId, handover, promptTokens, firstToken } = prefilled
  return {
    requestId,
    trace: "",
    handover,
    promptTokens,
    firstToken,
    maxTokens: 5,
    sampling,
    ignoreEnd: true,
    ...changes,
  }
}

async function decode(served: Served, body: DecodeRequest): Promise<DecodeEvent[]> {
  const response = await responseOf(start(served, workerRoutes.decode, { body }))
  assert.equal(response.statusCode, 200)
  const lines = (await textOf(response)).trim().split("\n")
  return lines.map((line) => JSON.parse(line) as DecodeEvent)
}

/** The error that a stream of events ended with. */
function errorOf(events: readonly DecodeEvent[]): { readonly code: string; readonly what: string } {
  const last = events.at(-1)
  assert.ok(last?.event === "error", JSON.stringify(last))
  return last.error
}

const allFree = async (): Promise<void> => {
  for (const served of [prefiller, decoder]) {
    await untilFree(served, served.worker.pool.allocator.blocks)
    assert.equal(served.worker.agent.openLeases, 0)
  }
}

test("a request goes through both workers: one transfer, its tokens, one end, and every block back", async () => {
  const prefilled = await prefill(prefiller, 77)
  const events = await decode(decoder, decodeBody(prefilled, { maxTokens: 9 }))
  assert.deepEqual(
    events.map(({ event }) => event),
    ["transferred", ...Array<string>(9).fill("token"), "end"],
  )
  const end = events.at(-1)
  assert.ok(end?.event === "end")
  assert.deepEqual([end.reason, end.tokens, end.promptTokensComputed], ["length", 9, 0])
  await allFree()
})

test("without the right bearer nothing is done, whatever the route; health and metrics are for everybody", async () => {
  for (const wrong of ["", "x", bearer.slice(1), `${bearer}x`]) {
    for (const path of [workerRoutes.prefill, workerRoutes.release, "/nowhere"]) {
      const { status, body } = await call(prefiller, path, { bearer: wrong, body: prefillBody(16) })
      assert.deepEqual([status, body.error?.code], [403, "KV_PEER_UNTRUSTED"])
    }
  }
  assert.equal((await health(prefiller)).role, "prefill")
  const metrics = await responseOf(start(prefiller, workerRoutes.metrics, { method: "GET", bearer: "" }))
  assert.match(await textOf(metrics), /kvferry_pool_free_blocks \d+/)
  await allFree()
})

test("another role's route, another method and a path that is none are refused with the role", async () => {
  const cases: [Served, string, string][] = [
    [prefiller, workerRoutes.decode, "POST"],
    [decoder, workerRoutes.prefill, "POST"],
    [prefiller, workerRoutes.prefill, "PUT"],
    [prefiller, "/", "POST"],
    [prefiller, "//", "POST"],
    [prefiller, "/health", "POST"],
  ]
  for (const [served, path, method] of cases) {
    const { status, body } = await call(served, path, { method, body: prefillBody(4) })
    assert.deepEqual([status, body.error?.code], [400, "KV_REQUEST_INVALID"], `${method} ${path}`)
    assert.match(body.error?.what ?? "", new RegExp(`a ${served.worker.role} worker has no`))
  }
})

test("a body that is no JSON, or not as described, is refused and says where", async () => {
  const good = prefillBody(16)
  const wrong: [unknown, RegExp][] = [
    ["{ not json", /not JSON/],
    ["", /not JSON/],
    [[], /does not fit/],
    [{ ...good, tokens: [] }, /tokens/],
    [{ ...good, tokens: [1, -1] }, /tokens/],
    [{ ...good, tokens: [0.5] }, /tokens/],
    [{ ...good, tokens: ["1"] }, /tokens/],
    [{ ...good, extra: 1 }, /extra/],
    [{ ...good, sampling: { ...sampling, temperature: 9 } }, /temperature/],
    [{ ...good, requestId: "" }, /requestId/],
  ]
  for (const [body, what] of wrong) {
    const answer = await call(prefiller, workerRoutes.prefill, { body })
    assert.deepEqual(
      [answer.status, answer.body.error?.code],
      [400, "KV_REQUEST_INVALID"],
      JSON.stringify(body),
    )
    assert.match(answer.body.error?.what ?? "", what)
  }
  await allFree()
})

test("tokens that the model does not know, and prompts that it cannot hold, are refused before a block is taken", async () => {
  for (const token of [320, 2 ** 32, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER]) {
    const body = { ...prefillBody(16), tokens: [1, token] }
    const answer = await call(prefiller, workerRoutes.prefill, { body })
    assert.deepEqual([answer.status, answer.body.error?.code], [400, "KV_PROMPT_INVALID"], String(token))
  }
  const long = await call(prefiller, workerRoutes.prefill, { body: prefillBody(context + 1) })
  assert.deepEqual([long.status, long.body.error?.code], [400, "KV_PROMPT_TOO_LONG"])
  await allFree()
})

test("a body over the limit is answered with its refusal, not with a closed socket", async () => {
  const body = JSON.stringify({ ...prefillBody(4), trace: "x".repeat(17 * 2 ** 20) })
  const { status, body: answer } = await call(prefiller, workerRoutes.prefill, { body })
  assert.deepEqual([status, answer.error?.code], [413, "KV_REQUEST_TOO_LARGE"])
})

test("callers that leave in the middle of their body, or speak no HTTP, disturb nobody", async () => {
  const { port } = prefiller.port
  const heads = [
    `POST ${workerRoutes.prefill} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${bearer}\r\ncontent-length: 1000\r\n\r\n{"a":`,
    "\u0000\u0001 garbage\r\n\r\n",
    "",
  ]
  for (const head of heads) {
    const socket = netConnect(port, "127.0.0.1")
    await new Promise<void>((resolve) => socket.once("connect", () => socket.write(head, () => resolve())))
    socket.destroy()
  }
  const { handover } = await prefill(prefiller, 16)
  await call(prefiller, workerRoutes.release, { body: { requestId: "r", lease: handover.lease } })
  await allFree()
})

test("release gives the blocks back, once; a lease that never was is no error", async () => {
  const before = (await health(prefiller)).pool.free
  const { handover } = await prefill(prefiller, 40)
  assert.equal((await health(prefiller)).pool.free, before - 3)
  const body = { requestId: "r", lease: handover.lease }
  assert.deepEqual((await call(prefiller, workerRoutes.release, { body })).body, { released: true })
  assert.equal((await health(prefiller)).pool.free, before)
  assert.deepEqual((await call(prefiller, workerRoutes.release, { body })).body, { released: false })
  const none = { requestId: "r", lease: "no such lease" }
  assert.deepEqual((await call(prefiller, workerRoutes.release, { body: none })).body, { released: false })
})

test("a caller that hangs up in mid-prefill gets its blocks freed while others go on", async () => {
  const total = prefiller.worker.pool.allocator.blocks
  const others = [1, 2].map((salt) => prefill(prefiller, 500, salt))
  await untilFree(prefiller, total - 64)
  const leaving = start(prefiller, workerRoutes.prefill, { body: prefillBody(500, 3) })
  leaving.on("error", () => {})
  await untilFree(prefiller, total - 96)
  leaving.destroy()
  await untilFree(prefiller, total - 64)
  for (const { handover } of await Promise.all(others)) {
    await call(prefiller, workerRoutes.release, { body: { requestId: "r", lease: handover.lease } })
  }
  await allFree()
})

test("a caller that hangs up in mid-decode stops the decode, and its blocks come back", async () => {
  const prefilled = await prefill(prefiller, 16)
  const before = (await health(decoder)).counters.decodeTokens
  const request = start(decoder, workerRoutes.decode, { body: decodeBody(prefilled, { maxTokens: 490 }) })
  const response = await responseOf(request)
  response.on("error", () => {})
  let heard = ""
  await new Promise<void>((resolve) => {
    response.on("data", (chunk: Buffer) => {
      heard += chunk.toString()
      if (heard.includes('"index":2')) resolve()
    })
  })
  request.destroy()
  await allFree()
  const again = await decode(decoder, decodeBody(await prefill(prefiller, 16)))
  assert.equal(again.at(-1)?.event, "end")
  const computed = (await health(decoder)).counters.decodeTokens - before
  assert.ok(computed < 489 + 4, `${computed} tokens were computed for nobody`)
  await allFree()
})

test("a caller that hangs up while the prefill worker's agent stays silent gets its blocks freed at once", async () => {
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
  const address = silent.address()
  assert.ok(address !== null && typeof address === "object")
  const sockets: Socket[] = []
  silent.on("connection", (socket) => sockets.push(socket))
  const handover = { agent: `127.0.0.1:${address.port}`, agentId: "x", bootId: "x", lease: "00".repeat(16) }
  const body = {
    requestId: "r",
    trace: "",
    handover,
    promptTokens: 16,
    firstToken: 1,
    maxTokens: 5,
    sampling,
  }
  const total = decoder.worker.pool.allocator.blocks
  const request = start(decoder, workerRoutes.decode, { body })
  request.on("error", () => {})
  await untilFree(decoder, total - 2)
  const leftAt = performance.now()
  request.destroy()
  await allFree()
  assert.ok(performance.now() - leftAt < 5000, "not only at the deadline of the transfer")
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => silent.close(resolve))
})

test("a decode whose lease does not exist ends with its code and a receipt, and holds no block", async () => {
  const prefilled = await prefill(prefiller, 16)
  const handover = { ...prefilled.handover, lease: "00".repeat(16) }
  const error = errorOf(await decode(decoder, decodeBody(prefilled, { handover })))
  assert.equal(error.code, "KV_LEASE_UNKNOWN")
  assert.ok("receipt" in error)
  const nonsense = { ...prefilled.handover, lease: "not hexadecimal" }
  const refused = errorOf(await decode(decoder, decodeBody(prefilled, { handover: nonsense })))
  assert.equal(refused.code, "KV_LEASE_UNKNOWN")
  const delivered = await decode(decoder, decodeBody(prefilled))
  assert.equal(delivered.at(-1)?.event, "end", JSON.stringify(delivered.at(-1)))
  await allFree()
})

test("a decode that asks for more than the context holds, or of nobody, ends with its code", async () => {
  const prefilled = await prefill(prefiller, 16)
  const tooLong = decodeBody(prefilled, { maxTokens: context })
  assert.equal(errorOf(await decode(decoder, tooLong)).code, "KV_PROMPT_TOO_LONG")
  const nobody = decodeBody(prefilled, { handover: { ...prefilled.handover, agent: "127.0.0.1:1" } })
  assert.equal(errorOf(await decode(decoder, nobody)).code, "KV_PEER_UNREACHABLE")
  const unknown = decodeBody(prefilled, { handover: { ...prefilled.handover, agent: "no address" } })
  assert.equal(errorOf(await decode(decoder, unknown)).code, "KV_USAGE")
  await call(prefiller, workerRoutes.release, { body: { requestId: "r", lease: prefilled.handover.lease } })
  await allFree()
})

test("when the prefill worker has restarted, its old handover is refused and a new one works", async () => {
  const first = await serve("prefill")
  const agentPort = Number(first.worker.agentAddress.split(":").at(-1))
  const old = await prefill(first, 16)
  await decode(decoder, decodeBody(await prefill(first, 16)))
  await first[Symbol.asyncDispose]()
  await using second = await serve("prefill", { agentPort })
  const error = errorOf(await decode(decoder, decodeBody(old)))
  assert.equal(error.code, "KV_PEER_LOST")
  assert.match(error.what, /restarted/)
  const events = await decode(decoder, decodeBody(await prefill(second, 16)))
  assert.equal(events.at(-1)?.event, "end", JSON.stringify(events.at(-1)))
  await untilFree(second, second.worker.pool.allocator.blocks)
  await allFree()
})

test("a pool that is exhausted answers 503, and nothing of the refused request stays", async () => {
  await using small = await serve("prefill", { blocks: 33 })
  const held = await prefill(small, context)
  const refused = await call(small, workerRoutes.prefill, { body: prefillBody(17, 2) })
  assert.deepEqual([refused.status, refused.body.error?.code], [503, "KV_POOL_EXHAUSTED"])
  assert.equal((await health(small)).pool.free, 1)
  await prefill(small, 16, 3)
  assert.equal((await health(small)).pool.free, 0)
  await call(small, workerRoutes.release, { body: { requestId: "r", lease: held.handover.lease } })
  assert.equal((await health(small)).pool.free, 32)
  assert.equal((await prefill(small, 17, 2)).promptTokens, 17)
})

test("a lease that nobody claims expires, and its blocks come back", async () => {
  await using short = await serve("prefill", { leaseMillis: 30 })
  const prefilled = await prefill(short, 16)
  await untilFree(short, short.worker.pool.allocator.blocks)
  const error = errorOf(await decode(decoder, decodeBody(prefilled)))
  assert.equal(error.code, "KV_LEASE_UNKNOWN")
})

test("a port that is in use is an error of its own", async () => {
  const again = serveWorker(prefiller.worker, { host: "127.0.0.1", port: prefiller.port.port, bearer })
  await assert.rejects(again, { code: "KV_PORT_IN_USE" })
})

test("a prefill is released by its call's name, also when the release comes first", async () => {
  const sampling = { temperature: 0, topP: 1, seed: 0 }
  const order = (name: string): object => ({
    requestId: "r",
    call: name,
    trace: "t",
    tokens: Array.from({ length: 40 }, (_, i) => i + 1),
    sampling,
  })
  const before = (await health(prefiller)).pool.free
  await call(prefiller, workerRoutes.prefill, { body: order("known") })
  assert.equal((await health(prefiller)).pool.free, before - 3)
  const release = (name: string): ReturnType<typeof call> =>
    call(prefiller, workerRoutes.release, { body: { requestId: "r", call: name } })
  assert.deepEqual((await release("known")).body, { released: true })
  assert.equal((await health(prefiller)).pool.free, before)
  assert.deepEqual((await release("early")).body, { released: false })
  await call(prefiller, workerRoutes.prefill, { body: order("early") })
  assert.equal((await health(prefiller)).pool.free, before)
})
