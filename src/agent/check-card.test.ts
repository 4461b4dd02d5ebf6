import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import { cardOf } from "./cards.test.kit.ts"
import { checkCard } from "./check-card.ts"

const ours = cardOf("ours")

function assertRule(theirs: Parameters<typeof cardOf>[1], rule: string): void {
  assert.throws(
    () => checkCard(ours, cardOf("theirs", theirs)),
    (error) => {
      assert.ok(error instanceof KvError && error.code === "KV_PEER_REFUSED", String(error))
      assert.match(error.why ?? "", new RegExp(`rule "${rule}"`))
      return true
    },
  )
}

test("a card of the same model fits, whatever its order, block size, pool and share of the heads", () => {
  const changes: Partial<KvLayout>[] = [
    {},
    { order: "token-major" },
    { blockTokens: 32 },
    { blocks: 1000 },
    { firstHead: 2, heads: 2 },
    { firstHead: 3, heads: 1 },
  ]
  for (const layoutChanges of changes) checkCard(ours, cardOf("theirs", { layoutChanges }))
})

test("another model, another shape, and no common head are refused by their rules", () => {
  const { shape } = ours.layout
  assertRule({ model: "two" }, "model")
  for (const name of ["layers", "kvHeads", "headDim", "elementBytes"] as const) {
    assertRule({ layoutChanges: { shape: { ...shape, [name]: shape[name] * 2 } } }, name)
  }
  const half = cardOf("ours", { layoutChanges: { firstHead: 0, heads: 2 } })
  const rest = cardOf("theirs", { layoutChanges: { firstHead: 2, heads: 2 } })
  assert.throws(() => checkCard(half, rest), /heads 2 to 3, we hold 0 to 1/)
  assert.throws(() => checkCard(rest, half), /heads 0 to 1, we hold 2 to 3/)
})
