import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { DecodeRequest } from "../protocol.ts"
import { openWorker } from "./worker.ts"

test("blocks that a library may still write into are nobody's any more; those of any other failure come back", async () => {
  await using worker = await openWorker({
    role: "decode",
    source: { kind: "random", seed: 21 },
    credentials: { secret: new Uint8Array(32).fill(3) },
    host: "127.0.0.1",
    agentPort: 0,
    paths: ["tcp"],
    rails: 1,
    integrity: "full",
    leaseMillis: 60_000,
    transferMillis: 10_000,
  })
  const request: DecodeRequest = {
    requestId: "r",
    trace: "",
    handover: { agent: "127.0.0.1:1", agentId: "x", bootId: "0".repeat(32), lease: "0".repeat(32) },
    promptTokens: 40,
    firstToken: 1,
    maxTokens: 8,
    sampling: { temperature: 0, topP: 1, seed: 0 },
  }
  const { free } = worker.pool.allocator
  for (const mayStillWrite of [false, true]) {
    const error = new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: "a rail has not come back",
      ...(mayStillWrite ? { mayStillWrite } : {}),
    })
    worker.agent.connect = () => Promise.reject(error)
    const decoding = worker.decode(
      request,
      { transferred: () => {}, token: () => {} },
      new AbortController().signal,
    )
    await assert.rejects(decoding, error)
    assert.equal(worker.pool.allocator.free, mayStillWrite ? free - 3 : free)
  }
})
