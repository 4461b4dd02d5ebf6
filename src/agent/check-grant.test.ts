import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { Card } from "../wire/card.ts"
import type { Grant } from "../wire/grant.ts"
import { cardOf, endpointOf, grantOf } from "./cards.test.kit.ts"
import { checkGrant } from "./check-grant.ts"

function assertRule(changes: Partial<Grant>, rule: string, card: Partial<Card> = {}): void {
  assert.throws(
    () => checkGrant(cardOf("theirs", card), "read", grantOf(changes)),
    (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_PEER_REFUSED", String(error))
      assert.match(error.why ?? "", new RegExp(`rule "${rule}"`))
      return true
    },
  )
}

test("a grant of the life, the direction and the layers that were asked for is taken", () => {
  checkGrant(cardOf("theirs"), "read", grantOf())
  const stamps = { region: 7, length: 8 * 4, rkeys: [3], iova: 0 }
  const endpoints = [{ ...endpointOf, regions: [...endpointOf.regions, stamps] }]
  checkGrant(cardOf("theirs", { epochs: { region: 7 } }), "read", grantOf({ regions: [0, 1, 7], endpoints }))
  checkGrant(cardOf("theirs", { epochs: { region: 7 } }), "write", grantOf({ direction: "write" }))
})

test("a grant of another life, of another direction, or for a part of the layers is refused by its rule", () => {
  assertRule({ bootId: "ff".repeat(16) }, "boot")
  assertRule({ direction: "write" }, "direction")
  assertRule({ regions: [0] }, "regions")
  assertRule({ regions: [0, 1, 2] }, "regions")
})

test("a grant without the stamps, or with a region that is too small for the card, is refused by its rule", () => {
  const stamps = { region: 7, length: 8 * 4 - 1, rkeys: [3], iova: 0 }
  const [first, second] = endpointOf.regions
  const regions = [0, 1, 7]
  const card = { epochs: { region: 7 } }
  const short = { ...second!, length: second!.length - 1 }
  assertRule({ regions: [0, 1] }, "regions", card)
  assertRule({ regions, endpoints: [{ ...endpointOf, regions: [first!, second!, stamps] }] }, "length", card)
  assertRule({ endpoints: [endpointOf, { ...endpointOf, regions: [first!, short] }] }, "length")
})
