import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { fileURLToPath } from "node:url"
import OpenAI from "openai"
import { type Cluster, type ProcessName, startCluster } from "../serve/cluster.ts"
import type { WorkerHealth } from "../serve/protocol.ts"
import { startKvferry } from "./run-kvferry.ts"

const model = fileURLToPath(new URL("../../models/ferry-tiny", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "kvferry-cluster-"))
const secretFile = join(folder, "secret")
let cluster: Cluster
const events: string[] = []

before(async () => {
  writeFileSync(secretFile, "a secret for one test run, 32 by", { mode: 0o600 })
  cluster = await startCluster({
    model,
    secretFile,
    port: 0,
    workerArgs: ["--lease", "600", "--timeout", "5", "--receipts", join(folder, "receipts")],
    decodeArgs: [],
    restart: true,
    onEvent: ({ process, what }) => events.push(`${process} ${what}`),
  })
})
after(async () => {
  await cluster?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + 30_000
  while (!(await condition())) {
    assert.ok(performance.now() < end, `waited 30 s until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function health(name: "prefill" | "decode"): Promise<WorkerHealth | undefined> {
  try {
    return (await (await fetch(`${cluster.process(name).url}/health`)).json()) as WorkerHealth
  } catch {
    return undefined
  }
}

/** Every block of a worker's pool is free, and nothing is lent. */
async function isIdle(name: "prefill" | "decode"): Promise<boolean> {
  const state = await health(name)
  return state !== undefined && state.pool.free === state.pool.blocks && state["leases"] === 0
}

const bothIdle = async (): Promise<boolean> => (await isIdle("prefill")) && (await isIdle("decode"))

/** A streamed completion that goes on for about a thousand tokens. */
function longRequest(signal?: AbortSignal): Promise<Response> {
  return fetch(`${cluster.url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      prompt: "The harbour",
      max_tokens: 1200,
      ignore_eos: true,
      stream: true,
      temperature: 0.7,
    }),
    ...(signal === undefined ? {} : { signal }),
  })
}

/** Reads a stream to its end, calling `onFirst` at its first token. */
async function readAll(response: Response, onFirst: () => void): Promise<string> {
  let text = ""
  let told = false
  try {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk).toString()
      if (!told && /"text":"[^"]/.test(text)) {
        told = true
        onFirst()
      }
    }
  } catch (thrown) {
    text += String(thrown)
  }
  return text
}

const client = (): OpenAI =>
  new OpenAI({ baseURL: `${cluster.url}/v1`, apiKey: "none needed", maxRetries: 0 })

test("the official client gets a chat answer at once, and the same one streamed", async () => {
  const request = {
    model: "ferry-tiny",
    messages: [{ role: "user" as const, content: "Who are you?" }],
    temperature: 0,
    max_tokens: 40,
  }
  const whole = await client().chat.completions.create(request)
  const text = whole.choices[0]?.message.content ?? ""
  assert.ok(text.length > 3, text)
  assert.equal(whole.usage?.total_tokens, whole.usage!.prompt_tokens + whole.usage!.completion_tokens)
  let streamed = ""
  for await (const chunk of await client().chat.completions.create({ ...request, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? ""
  }
  assert.equal(streamed, text)
  const models = await client().models.list()
  assert.deepEqual(
    models.data.map(({ id }) => id),
    ["ferry-tiny"],
  )
  await until("all blocks came back", bothIdle)
})

test("twenty requests at once are all answered, and every block comes back", async () => {
  const ask = (i: number): Promise<OpenAI.Completion> =>
    client().completions.create({
      model: "ferry-tiny",
      prompt: `The ship number ${i} is called`,
      max_tokens: 12,
      temperature: 0.9,
      seed: i,
    })
  const together = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(i)))
  const alone = await ask(7)
  assert.equal(together[7]?.choices[0]?.text, alone.choices[0]?.text, "company changes no answer")
  await until("all blocks came back", bothIdle)
})

test("a client that hangs up frees the blocks on both workers", async () => {
  const abort = new AbortController()
  const response = await longRequest(abort.signal)
  assert.equal(response.status, 200)
  let hungUp = false
  await readAll(response, () => {
    hungUp = true
    abort.abort()
  })
  assert.ok(hungUp)
  await until("all blocks came back", bothIdle)
})

test("a storm of hang-ups at any moment strands no block: nothing waits for a lease to run out", async () => {
  const hangUpAfter = async (millis: number): Promise<void> => {
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(), millis)
    await longRequest(abort.signal)
      .then((response) => readAll(response, () => {}))
      .catch(() => {})
    clearTimeout(timer)
  }
  // From before the prefill has begun to well into the answer, sixteen at a time.
  const clients = Array.from({ length: 16 }, async (_, client) => {
    for (let i = 0; i < 12; i++) await hangUpAfter(((client * 12 + i) * 37) % 120)
  })
  await Promise.all(clients)
  await until("all blocks came back", bothIdle)
})

for (const [name, survivor] of [
  ["decode", "prefill"],
  ["prefill", "decode"],
] as const) {
  test(`kill -9 of ${name} in mid-request: the frontend stays up, blocks come back, a newcomer serves`, async () => {
    const before = cluster.process(name).pid
    // A prompt in the prefill worker and an answer in the decode worker, both under way.
    const long = "The boat sailed to the pier. ".repeat(60)
    const answering = longRequest().then((response) =>
      readAll(response, () => process.kill(before, "SIGKILL")),
    )
    const computing = Array.from({ length: 6 }, () =>
      client()
        .completions.create({ model: "ferry-tiny", prompt: long, max_tokens: 8 })
        .then(
          () => "answered",
          (error: unknown) => (error instanceof OpenAI.APIError ? String(error.code) : String(error)),
        ),
    )
    const stream = await answering
    if (name === "decode") assert.match(stream, /KV_WORKER_LOST|KV_PEER_LOST/)
    for (const outcome of await Promise.all(computing)) {
      assert.match(outcome, /^(answered|KV_[A-Z_]+)$/, "an answer or a typed error, and in bounded time")
    }
    assert.equal((await fetch(`${cluster.url}/v1/models`)).status, 200, "the frontend stays up")
    await until("the survivor's blocks came back", () => isIdle(survivor))
    await until("the newcomer is there", () => cluster.process(name).pid !== before)
    await until("the frontend has noticed", async () => (await fetch(`${cluster.url}/health`)).status === 200)
    const answer = await client().completions.create({
      model: "ferry-tiny",
      prompt: "The sea",
      max_tokens: 4,
    })
    assert.ok(answer.choices[0]!.text.length > 0)
    await until("all blocks came back", bothIdle)
  })
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

for (const [name, signal, code] of [
  ["is killed", "SIGKILL", null],
  ["is told to end with Ctrl-C", "SIGINT", 0],
] as const) {
  test(`the three processes end with the served demo that started them, when that ${name}`, async () => {
    const command = ["demo", "--serve", "--port", "0", "--prompt", "The", "--max-tokens", "1"]
    const { child, ended } = startKvferry(command)
    let said = ""
    await new Promise<void>((resolve) => {
      child.stdout!.on("data", (chunk: Buffer) => {
        said += chunk.toString()
        if (said.includes("until Ctrl-C")) resolve()
      })
    })
    const pids = [...said.matchAll(/pid (\d+) +http/g)].map((match) => Number(match[1]))
    assert.equal(pids.length, 3, said)
    child.kill(signal)
    assert.equal((await ended).code, code)
    await until("they are gone", () => !pids.some(isAlive))
  })
}

test("every process that died was told", () => {
  const died: ProcessName[] = ["decode", "prefill"]
  for (const name of died) assert.ok(events.includes(`${name} died`), events.join(", "))
})
