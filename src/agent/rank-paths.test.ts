import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import type { Endpoint } from "../transport/transport.ts"
import { choosePath } from "./choose-path.ts"
import { type PathPolicy, rankPaths } from "./rank-paths.ts"

/** An endpoint of which only the reach matters here. */
function endpoint(transport: string, usable: boolean): Endpoint {
  const reaches: Endpoint["reaches"] = () => ({ usable, why: usable ? "one host" : "another host" })
  return { transport, rails: 1, reaches } as unknown as Endpoint
}

const offer = (...names: string[]): { transport: string }[] => names.map((transport) => ({ transport }))
const known = ["loopback", "shm", "cma", "tcp"]
const noMemory = {
  transport: "shm",
  error: new KvError("KV_OS", { what: "no memory below /dev/shm", why: "memfd_create answered ENOSPC (28)" }),
}

test("every path is told with its verdict: allowed and open, refused here, not offered, not in the policy", () => {
  const policy: PathPolicy = { allowed: ["shm", "cma", "tcp"], known, refused: [noMemory] }
  const { candidates, chosen } = rankPaths(
    [endpoint("cma", true), endpoint("tcp", true)],
    offer("tcp", "loopback", "pigeon"),
    policy,
  )
  assert.deepEqual(
    candidates.map(({ transport, allowed, usable, why, chosen }) => [
      transport,
      allowed,
      usable,
      why,
      chosen,
    ]),
    [
      [
        "shm",
        true,
        false,
        "not open on this side: no memory below /dev/shm (memfd_create answered ENOSPC (28))",
        false,
      ],
      ["cma", true, false, "the peer offers no cma", false],
      ["tcp", true, true, "one host", true],
      ["loopback", false, false, "not in --paths; the peer offers it", false],
      ["pigeon", false, false, "the peer offers it, and this side does not know it", false],
    ],
  )
  assert.equal(chosen?.endpoint.transport, "tcp")
  assert.equal(chosen?.offer, 0)
})

test("what is required does not choose another path: it says whether the choice may be used", () => {
  const policy: PathPolicy = { allowed: ["shm", "tcp"], known, refused: [noMemory], required: ["shm"] }
  const { candidates, chosen } = rankPaths([endpoint("tcp", true)], offer("shm", "tcp"), policy)
  assert.equal(chosen, undefined)
  assert.equal(candidates[1]?.usable, true)
  assert.equal(candidates[1]?.why, "one host; but --require asks for shm")
  assert.throws(
    () => choosePath([endpoint("tcp", true)], { agentId: "peer", endpoints: [] }, policy),
    (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_TRANSPORT_UNAVAILABLE")
      assert.equal(error.what, "peer is not reached over shm")
      for (const name of known) assert.ok(error.why?.includes(`${name}: `), `${name} in ${error.why}`)
      return true
    },
  )
  const met = { ...policy, allowed: ["tcp", "shm"], required: ["cma", "tcp"] }
  assert.equal(rankPaths([endpoint("tcp", true)], offer("tcp"), met).chosen?.endpoint.transport, "tcp")
})

test("a path that was tried and did not connect leaves its place to the next, with its error", () => {
  const gone = new KvError("KV_PEER_UNREACHABLE", { what: "nobody answers", why: "ECONNREFUSED (111)" })
  const endpoints = [endpoint("cma", true), endpoint("tcp", true)]
  const policy = { allowed: ["cma", "tcp"], known, refused: [], failed: [{ transport: "cma", error: gone }] }
  const { candidates, chosen } = rankPaths(endpoints, offer("cma", "tcp"), policy)
  assert.equal(chosen?.endpoint.transport, "tcp")
  assert.deepEqual(
    [candidates[0]?.usable, candidates[0]?.why],
    [false, "it did not connect: nobody answers (ECONNREFUSED (111))"],
  )
  const required = rankPaths(endpoints, offer("cma", "tcp"), { ...policy, required: ["cma"] })
  assert.equal(required.chosen, undefined)
})

test("whatever is open and offered: at most one choice, it is the first usable one, and nothing is left out", () => {
  const names = fc.uniqueArray(fc.constantFrom(...known), { maxLength: 4 })
  const sides = fc.record({
    allowed: names,
    open: fc.uniqueArray(fc.record({ name: fc.constantFrom(...known), usable: fc.boolean() }), {
      selector: ({ name }) => name,
    }),
    offered: names,
    required: fc.option(names, { nil: undefined }),
  })
  fc.assert(
    fc.property(sides, ({ allowed, open, offered, required }) => {
      const endpoints = open.map(({ name, usable }) => endpoint(name, usable))
      const policy = { allowed, known, refused: [], ...(required === undefined ? {} : { required }) }
      const { candidates, chosen } = rankPaths(endpoints, offer(...offered), policy)
      assert.deepEqual([...candidates].map(({ transport }) => transport).sort(), [...known].sort())
      const works = (name: string): boolean =>
        offered.includes(name) && open.some((side) => side.name === name && side.usable)
      const first = allowed.find(works)
      const expected =
        required === undefined || (first !== undefined && required.includes(first)) ? first : undefined
      assert.equal(chosen?.endpoint.transport, expected)
      assert.deepEqual(
        candidates.filter((candidate) => candidate.chosen).map(({ transport }) => transport),
        expected === undefined ? [] : [expected],
      )
    }),
  )
})
