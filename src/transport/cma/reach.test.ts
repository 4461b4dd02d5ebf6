import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { after, test } from "node:test"
import fc from "fast-check"
import { openCrew } from "../../movers/thread-crew.ts"
import { hostMemory } from "../../os/host-memory.ts"
import type { EndpointAddress } from "../transport.ts"
import { createCma } from "./cma.ts"
import { parseAddress } from "./cma-address.ts"
import { whyForbidden } from "./reach.ts"

const crew = await openCrew({ threads: 1 })
const endpoint = await createCma({ crew }).open({ host: "127.0.0.1", rails: 1 })
after(async () => {
  await endpoint[Symbol.asyncDispose]()
  await crew[Symbol.asyncDispose]()
})

test("an address that cannot be read says in what it differs", () => {
  const own = endpoint.address
  const elsewhere = hostMemory.map(4096, "no beacon")
  const cases: [Partial<EndpointAddress>, RegExp][] = [
    [{ machine: "00000000-0000-0000-0000-000000000000" }, /another machine/],
    [{ pidNamespace: 1 }, /another pid namespace/],
    [{ pid: 2 ** 22 + 1 }, /process 4194305 is gone/],
    [{ startTicks: Number(own["startTicks"]) + 1 }, /is another one now/],
    [{ beacon: elsewhere.addressOf(0, 4096) }, /closed its cma endpoint/],
    [{ beacon: 4096 }, /closed its cma endpoint/],
    [{ token: "0".repeat(32) }, /closed its cma endpoint/],
    [{ transport: "tcp" }, /no cma endpoint/],
    [{ beacon: "4096" }, /malformed/],
    [{ token: "z".repeat(32) }, /malformed/],
  ]
  for (const [change, why] of cases) {
    const reach = endpoint.reaches({ ...own, ...change } as EndpointAddress)
    assert.equal(reach.usable, false, JSON.stringify(change))
    assert.match(reach.why, why)
  }
  elsewhere[Symbol.dispose]()
})

test("an address that can be read says what the kernel lets others do", () => {
  const reach = endpoint.reaches(endpoint.address)
  assert.equal(reach.usable, true)
  assert.match(reach.why, /every process of user \d+ may read and write this memory, with or without a grant/)
})

test("no address, however odd, is more than malformed", async () => {
  const odd = fc.oneof(fc.integer(), fc.double(), fc.string(), fc.constant(undefined), fc.constant(2 ** 53))
  const names = ["machine", "pidNamespace", "pid", "startTicks", "beacon", "token"] as const
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), odd, async (name, value) => {
      const address = { ...endpoint.address, [name]: value } as EndpointAddress
      if (Object.is(value, endpoint.address[name])) return
      assert.equal(endpoint.reaches(address).usable, false)
      const session = { id: "0".repeat(32), key: randomBytes(32) }
      const refused = endpoint.connect(session, address, { deadline: performance.now() + 1000, peerHost: "" })
      await assert.rejects(refused, { code: "KV_PEER_UNREACHABLE" })
    }),
  )
  assert.equal(parseAddress({ transport: "cma" }), undefined)
})

test("what the kernel forbids is explained with what to do", () => {
  const same = { pid: 7, ours: 1000, theirs: 1000 }
  assert.match(
    whyForbidden({ ...same, theirs: 1001, scope: 1 }),
    /user 1001 and this one as 1000: run both as one user/,
  )
  assert.match(
    whyForbidden({ ...same, scope: 1 }),
    /only a parent.*ptrace_scope is 1.*set it to 0, or .*CAP_SYS_PTRACE/,
  )
  assert.match(whyForbidden({ ...same, scope: 2 }), /only CAP_SYS_PTRACE.*ptrace_scope is 2/)
  assert.match(whyForbidden({ ...same, scope: 3 }), /nobody .*next boot.*another path/)
  assert.match(whyForbidden({ ...same, scope: 0 }), /not dumpable.*seccomp/)
  assert.match(whyForbidden({ ...same, scope: undefined, theirs: undefined }), /not dumpable/)
})
