/** The two sides of a bench between hosts, over the loopback device. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { connect } from "node:net"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import type { Credentials } from "../../../agent/credentials.ts"
import { KvError } from "../../../errors/kv-error.ts"
import { benchTiny, resultOf } from "../load.test.kit.ts"
import { BenchTarget } from "./bench-target.ts"
import { dialTarget } from "./dial-target.ts"

const limit = { timeout: 120_000 }
const secret = new Uint8Array(32).fill(7)
const isKv = (code: string, words: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof KvError, String(thrown))
  assert.equal(thrown.code, code, thrown.message)
  assert.match(thrown.message, words)
  return true
}

async function openTarget(
  more: { readonly software?: string; readonly credentials?: Credentials } = {},
): Promise<{ readonly target: BenchTarget; readonly address: string; readonly events: string[] }> {
  const events: string[] = []
  const target = await BenchTarget.open({
    host: "127.0.0.1",
    port: 0,
    credentials: { secret },
    onEvent: (text) => events.push(text),
    ...more,
  })
  return { target, address: `127.0.0.1:${target.port}`, events }
}

test("a load between two sides is verified on both, and nothing is left when it is done", limit, async () => {
  const { target, address, events } = await openTarget()
  await using _ = target
  for (const op of ["read", "write"] as const) {
    await using placement = await dialTarget(address, { credentials: { secret }, op })
    assert.equal(placement.sameMachine, true)
    const { document } = await benchTiny(
      { op, engines: ["kvferry:tcp", "kvferry:shm", "memcpy"], target: address, prefillEngines: 2 },
      { placement },
    )
    assert.equal(document.verdict, "identical", JSON.stringify(document.results))
    const hashes = new Set(document.results.map(({ hash }) => hash))
    assert.equal(hashes.size, 1, "what was moved over there is what was moved here")
    assert.ok(resultOf(document, "kvferry:tcp").residentBytes!.source > 0)
    await placement[Symbol.asyncDispose]()
    for (let i = 0; i < 100 && !events.at(-1)?.includes("is done"); i++) await sleep(50)
    assert.match(events.at(-1)!, /is done/)
  }
})

test("who does not know the secret learns nothing, and the target waits on", limit, async () => {
  const { target, address, events } = await openTarget()
  await using _ = target
  const stranger = { secret: randomBytes(32) }
  await assert.rejects(
    dialTarget(address, { credentials: stranger, op: "read" }),
    isKv("KV_PEER_UNTRUSTED", /./),
  )
  assert.match(events.join("\n"), /was not let in/)
  const socket = connect(target.port, "127.0.0.1")
  const heard: Buffer[] = []
  socket.on("data", (data: Buffer) => heard.push(data))
  socket.on("error", () => {})
  socket.write("GET / HTTP/1.1\r\n\r\n")
  await sleep(200)
  socket.destroy()
  assert.doesNotMatch(Buffer.concat(heard).toString("latin1"), /boot|cpu|address/i)
  await using placement = await dialTarget(address, { credentials: { secret }, op: "read" })
  assert.ok(placement.facts.availableBytes > 0)
})

test("another version is refused by whoever notices, with both versions", limit, async () => {
  const { target, address } = await openTarget({ software: "9.9.9" })
  await using _ = target
  await assert.rejects(
    dialTarget(address, { credentials: { secret }, op: "read" }),
    isKv("KV_PEER_REFUSED", /0\.1\.0.*9\.9\.9|9\.9\.9.*0\.1\.0/),
  )
})

test("a second initiator is told that the target works for another one", limit, async () => {
  const { target, address } = await openTarget()
  await using _ = target
  await using _first = await dialTarget(address, { credentials: { secret }, op: "read" })
  await assert.rejects(
    dialTarget(address, { credentials: { secret }, op: "read" }),
    isKv("KV_LIMIT", /another initiator/),
  )
})

test("a target that goes away in mid-run leaves a partial result, with the reason", limit, async () => {
  const { target, address } = await openTarget()
  await using placement = await dialTarget(address, { credentials: { secret }, op: "read" })
  const { document } = await benchTiny(
    { engines: ["kvferry:tcp", "memcpy"], rounds: 4, target: address },
    {
      placement,
      onStep: (label) => {
        if (label.startsWith("round 3 of 4: kvferry")) void target[Symbol.asyncDispose]()
      },
    },
  )
  const lost = resultOf(document, "kvferry:tcp")
  assert.equal(lost.verdict, "failed")
  assert.match(lost.why!, /after 2 whole rounds: .*(gone|closed|shut|crash|ended|lost)/)
  assert.equal(lost.microsByRound.filter((micros) => micros !== null).length, 2)
  assert.equal(resultOf(document, "memcpy").verdict, "identical")
})

test("orders that make no sense are answered with an error, and end nothing", limit, async () => {
  const { target, address } = await openTarget()
  await using _ = target
  await using placement = await dialTarget(address, { credentials: { secret }, op: "read" })
  const cache = {
    layers: 1,
    blocks: 2 ** 40,
    blockTokens: 16,
    kvHeads: 8,
    firstHead: 0,
    heads: 8,
    headDim: 128,
    elementBytes: 2,
  }
  const dealt = { owner: 0, name: "prefill-0", side: "prefill", cache } as const
  const { parseEngineSpec } = await import("../../engine-spec.ts")
  const { Pattern } = await import("../../pattern/pattern.ts")
  const start = (name: string, changes: object = {}) =>
    placement.start(parseEngineSpec(name), { ...dealt, ...changes }, { agents: [dealt] }, new Pattern(1), {
      verbose: false,
    })
  await assert.rejects(start("kvferry"), isKv("KV_LIMIT", /was asked for on the target's host/))
  await assert.rejects(start("kvferry", { name: "../../etc" }), isKv("KV_WIRE_INVALID", /name/))
  assert.ok(placement.facts.machine.cores > 0)
})
