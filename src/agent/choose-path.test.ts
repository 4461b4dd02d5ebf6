import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { Endpoint } from "../transport/transport.ts"
import { choosePath } from "./choose-path.ts"

/** An endpoint of which only the reach matters here. */
function endpoint(transport: string, usable: boolean, why: string): Endpoint {
  const reaches: Endpoint["reaches"] = () => ({ usable, why })
  return { transport, rails: 1, reaches } as unknown as Endpoint
}

const offer = {
  agentId: "peer",
  endpoints: ["shm", "tcp"].map((transport) => ({ address: { transport }, regions: [] })),
}

test("the first path of the policy that reaches the peer is taken, with its reason", () => {
  const chosen = choosePath([endpoint("tcp", true, "it listens"), endpoint("shm", true, "one host")], offer)
  assert.equal(chosen.endpoint.transport, "tcp")
  assert.equal(chosen.remote, offer.endpoints[1])
  assert.equal(chosen.why, "tcp: it listens (first allowed path)")
})

test("a later path is taken with what was wrong with each one before it", () => {
  const paths = [
    endpoint("verbs", true, "-"),
    endpoint("shm", false, "another host"),
    endpoint("tcp", true, "it listens"),
  ]
  assert.equal(
    choosePath(paths, offer).why,
    "tcp: it listens (after verbs: the peer offers no verbs; shm: another host)",
  )
})

test("without a path there is a refusal that lists every one, never a silent fallback", () => {
  const paths = [endpoint("verbs", true, "-"), endpoint("shm", false, "another host")]
  assert.throws(
    () => choosePath(paths, offer),
    (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_TRANSPORT_UNAVAILABLE")
      const others = "tcp: the peer offers it, and this side does not know it"
      assert.equal(error.why, `verbs: the peer offers no verbs; shm: another host; ${others}`)
      return true
    },
  )
  assert.throws(() => choosePath([], offer), /no transport is open on this side/)
})

test("the paths that were liked better are told, for a warning; there are none when the first one was taken", () => {
  const paths = [endpoint("shm", false, "another host"), endpoint("tcp", true, "it listens")]
  const { passedOver } = choosePath(paths, offer)
  assert.deepEqual(
    passedOver.map(({ transport, why }) => [transport, why]),
    [["shm", "another host"]],
  )
  assert.deepEqual(choosePath([endpoint("tcp", true, "it listens")], offer).passedOver, [])
})
