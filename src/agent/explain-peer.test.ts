import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { Endpoint } from "../transport/transport.ts"
import { cardOf, endpointOf, grantOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import type { ControlNetwork } from "./control-network.ts"
import { explainPeer } from "./explain-peer.ts"
import { greetAsListener } from "./greet.ts"
import { delivered, FakeClock, openPipe, type PipeEnd } from "./in-memory.test.kit.ts"

const secret = new Uint8Array(32).fill(7)
const known = ["shm", "cma", "tcp"]
const policy = { allowed: known, known, refused: [] }
const card = cardOf("peer", {
  model: "another-model",
  transports: ["cma", "tcp"],
})
const grant = grantOf({
  endpoints: ["cma", "tcp"].map((transport) => ({ ...endpointOf, address: { transport } })),
})

/** An open fabric that reaches everybody, and connects as told. It counts what is left open. */
function fabric(
  transport: string,
  connects: () => Promise<void>,
): { readonly endpoint: Endpoint; open: number } {
  const state = {
    open: 0,
    endpoint: {
      transport,
      rails: 1,
      reaches: () => ({ usable: true, why: "one host" }),
      connect: async () => {
        await connects()
        state.open += 1
        const leave = async (): Promise<void> => {
          state.open -= 1
        }
        return { [Symbol.asyncDispose]: leave }
      },
    } as unknown as Endpoint,
  }
  return state
}

/** A listener behind the observer's network, and what became of its handshake. */
function listening(): {
  readonly network: ControlNetwork
  readonly caller: PipeEnd
  readonly ended: Promise<string>
  readonly clock: FakeClock
} {
  const clock = new FakeClock()
  const [caller, listener] = openPipe()
  const options = { card, credentials: { secret }, clock, timeoutMillis: 10_000, admit: async () => {} }
  const channel = new MessageChannel(listener)
  const ended = greetAsListener(channel, options).then(
    ({ card: shown }) =>
      new Promise<string>((resolve) => {
        channel.listen(
          ({ message }) => {
            assert.equal(message.type, "ask-grant")
            if (message.type === "ask-grant") channel.send({ type: "grant", call: message.call, grant })
          },
          (error) => resolve(`${shown.agentId} left: ${error.code}`),
        )
      }),
    (error: KvError) => error.code,
  )
  const network = { connect: async () => caller, listen: () => Promise.reject(new Error("not here")) }
  return { network, caller, ended, clock }
}

test("a peer of another model is explained: each usable path is connected and left, and so is the peer", async () => {
  const { network, caller, ended, clock } = listening()
  const good = fabric("tcp", async () => clock.advance(3))
  const bad = fabric("cma", () =>
    Promise.reject(new KvError("KV_PEER_LOST", { what: "process 7 is gone", why: "ESRCH (3)" })),
  )
  const options = {
    party: { pid: 8, agentId: "observer", bootId: "ee".repeat(16) },
    credentials: { secret },
    clock,
    timeoutMillis: 5000,
    endpoints: [bad.endpoint, good.endpoint],
    policy,
    network,
  }
  const { card: theirs, candidates } = await explainPeer("[2001:db8::1]:7000", options)
  assert.deepEqual(theirs, card)
  assert.deepEqual(candidates, [
    { transport: "shm", allowed: true, usable: false, why: "not open on this side", chosen: false },
    {
      transport: "cma",
      allowed: true,
      usable: true,
      why: "one host",
      chosen: true,
      outcome: {
        connected: false,
        error: { code: "KV_PEER_LOST", what: "process 7 is gone", why: "ESRCH (3)" },
      },
    },
    {
      transport: "tcp",
      allowed: true,
      usable: true,
      why: "one host",
      chosen: false,
      outcome: { connected: true, micros: 3000 },
    },
  ])
  assert.deepEqual([good.open, bad.open], [0, 0], "nothing is left connected")
  await delivered()
  assert.equal(caller.closed, true)
  assert.equal(await ended, "observer left: KV_PEER_LOST")
  assert.equal(clock.waiting, 0, "no timer is left on either side")
})

test("a path that does not work here leaves its place to the next one, as it does for an agent", async () => {
  const { network, clock } = listening()
  const error = new KvError("KV_OS", { what: "cannot be mapped", why: "mmap answered ENOMEM (12)" })
  const options = {
    party: { pid: 8, agentId: "observer", bootId: "ee".repeat(16) },
    credentials: { secret },
    clock,
    timeoutMillis: 5000,
    endpoints: [fabric("cma", () => Promise.reject(error)).endpoint, fabric("tcp", async () => {}).endpoint],
    policy,
    network,
  }
  const { candidates } = await explainPeer("host:7000", options)
  assert.deepEqual(
    candidates.map(({ transport, usable, chosen, why }) => [transport, usable, chosen, why]),
    [
      ["shm", false, false, "not open on this side"],
      ["cma", false, false, "it did not connect: cannot be mapped (mmap answered ENOMEM (12))"],
      ["tcp", true, true, "one host"],
    ],
  )
})

test("a wrong secret and a malformed address are refused before anything is told", async () => {
  const { network, clock, ended } = listening()
  const options = {
    party: { pid: 8, agentId: "observer", bootId: "ee".repeat(16) },
    credentials: { secret: new Uint8Array(32).fill(8) },
    clock,
    timeoutMillis: 5000,
    endpoints: [],
    policy,
    network,
  }
  await assert.rejects(explainPeer("host:7000", options), { code: "KV_PEER_UNTRUSTED" })
  assert.equal(await ended, "KV_PEER_UNTRUSTED")
  for (const address of ["host", "host:0", "host:65536", ":1", "a b:1", "[::1", "::1:7000"]) {
    await assert.rejects(explainPeer(address, options), { code: "KV_USAGE" }, address)
  }
})
