import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { EndpointAddress } from "../transport.ts"
import { freshSocketName, ownMachine, parseShmAddress, reachOf, toEndpointAddress } from "./shm-address.ts"

const here = ownMachine()
const address = toEndpointAddress({ ...here, socket: freshSocketName() })

test("an address survives JSON, and says that a neighbour is reached", () => {
  const received = JSON.parse(JSON.stringify(address)) as EndpointAddress
  assert.deepEqual(reachOf(received, here), { usable: true, why: "both agents are on one machine" })
  assert.equal(parseShmAddress(received)?.socket, address["socket"])
})

test("another machine, another network namespace and another fabric are told apart", () => {
  const why = (changed: Record<string, string | number>): string => {
    const reach = reachOf({ ...address, ...changed } as EndpointAddress, here)
    assert.equal(reach.usable, false)
    return reach.why
  }
  const otherBoot = "0f0f0f0f-1111-2222-3333-444444444444"
  assert.match(why({ kernelBootId: otherBoot }), /on another machine \(kernel boot 0f0f0f0f/)
  assert.match(why({ networkNamespace: 1 }), /in another network namespace \(1, ours \d+\)/)
  assert.match(why({ transport: "tcp" }), /offers no shm endpoint/)
  assert.match(why({ socket: "/run/somewhere" }), /malformed/)
})

test("an address with any other content is malformed, and never an error of its own", () => {
  const field = fc.oneof(fc.string(), fc.double(), fc.array(fc.string()))
  fc.assert(
    fc.property(fc.record({ socket: field, kernelBootId: field, networkNamespace: field }), (fields) => {
      const hostile = { transport: "shm", ...fields } as EndpointAddress
      assert.equal(parseShmAddress(hostile), undefined)
      assert.equal(reachOf(hostile, here).usable, false)
    }),
  )
})
