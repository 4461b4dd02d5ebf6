import assert from "node:assert/strict"
import { test } from "node:test"
import { failureOf } from "./failures.ts"

const meaning = (provider: string, error: number, providerError = 0): string =>
  failureOf(provider, { error, providerError, words: "words" }).kind

test("a NIC's own status decides, where the provider hands one through", () => {
  assert.equal(meaning("verbs;ofi_rxm", 5, 10), "refused")
  assert.equal(meaning("verbs;ofi_rxm", 5, 4), "local")
  assert.equal(meaning("verbs;ofi_rxm", 125, 5), "flushed")
  assert.equal(meaning("verbs;ofi_rxm", 5, 12), "lane")
  const down = failureOf("verbs;ofi_rxm", { error: 5, providerError: 2, words: "Input/output error (5)" })
  assert.deepEqual([down.kind, /local port/.test(down.likelyCause)], ["lane", true])
  assert.equal(meaning("efa", 22, 7), "refused")
  assert.equal(meaning("efa", 113, 15), "lane")
  assert.equal(meaning("efa", 22, 5), "local")
})

test("elsewhere the error number does; one that nobody knows is the lane's", () => {
  assert.equal(meaning("tcp;ofi_rxm", 125, 10), "flushed")
  assert.equal(meaning("tcp", 104), "lane")
  assert.equal(meaning("shm", 14), "refused")
  assert.equal(meaning("shm", 3), "lane")
  assert.equal(meaning("tcp", 9999), "lane")
})

test("what libfabric said is kept, beside what it mostly means", () => {
  const failure = failureOf("efa", { error: 113, providerError: 15, words: "No route to host (113)" })
  assert.equal(failure.status, "No route to host (113)")
  assert.equal(failure.vendorCode, 15)
  assert.match(failure.likelyCause, /security group/)
})
