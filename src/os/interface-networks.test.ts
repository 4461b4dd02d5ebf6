import assert from "node:assert/strict"
import { test } from "node:test"
import { prefixBits } from "./interface-networks.ts"

test("the loopback address stands in a network of 8 bits, and an address of nobody here in none", () => {
  assert.equal(prefixBits("127.0.0.1"), 8)
  assert.equal(prefixBits("192.0.2.77"), undefined)
})
