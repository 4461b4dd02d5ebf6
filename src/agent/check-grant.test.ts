import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { Grant } from "../wire/grant.ts"
import { cardOf, grantOf } from "./cards.test.kit.ts"
import { checkGrant } from "./check-grant.ts"

function assertRule(changes: Partial<Grant>, rule: string): void {
  assert.throws(
    () => checkGrant(cardOf("theirs"), "read", grantOf(changes)),
    (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_PEER_REFUSED", String(error))
      assert.match(error.why ?? "", new RegExp(`rule "${rule}"`))
      return true
    },
  )
}

test("a grant of the life, the direction and the layers that were asked for is taken", () => {
  checkGrant(cardOf("theirs"), "read", grantOf())
  checkGrant(cardOf("theirs", { epochs: { region: 7 } }), "read", grantOf({ regions: [0, 1, 7] }))
  checkGrant(cardOf("theirs", { epochs: { region: 7 } }), "write", grantOf({ direction: "write" }))
})

test("a grant of another life, of another direction, or for a part of the layers is refused by its rule", () => {
  assertRule({ bootId: "ff".repeat(16) }, "boot")
  assertRule({ direction: "write" }, "direction")
  assertRule({ regions: [0] }, "regions")
  assertRule({ regions: [0, 1, 2] }, "regions")
})
