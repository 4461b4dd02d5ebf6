import assert from "node:assert/strict"
import { test } from "node:test"
import { ibverbsAbi as abi } from "../../os/ffi/ibverbs-abi.ts"
import { statusFailure, statusName } from "./completion-status.ts"

test("every status of the header has its name, a kind, a likely cause and a next step", () => {
  const statuses = Object.entries(abi).filter(([name]) =>
    /^IBV_WC_[A-Z_]+(?:_ERR|_RNDV_INCOMPLETE)$/.test(name),
  )
  assert.equal(statuses.length, 23)
  for (const [name, status] of statuses) {
    const failure = statusFailure(status, 136, "read")
    assert.equal(failure.status, name)
    assert.equal(failure.vendorCode, 136)
    assert.ok(failure.likelyCause.length > 10 && failure.next.length > 5, name)
    assert.doesNotMatch(failure.likelyCause, /newer than what we know/, name)
  }
  assert.equal(statusName(abi.IBV_WC_SUCCESS), "IBV_WC_SUCCESS")
})

test("the statuses that were provoked in the lab are laid at the right door", () => {
  const kind = (status: number): string => statusFailure(status, 0, "write").kind
  // A wrong key, a read past the end, a write without the right, a region closed meanwhile.
  assert.equal(kind(10), "refused")
  // A wrong local key.
  assert.equal(kind(4), "local")
  // What stood behind it.
  assert.equal(kind(5), "flushed")
  // A peer that was killed; a link set down.
  assert.equal(kind(12), "lane")
  assert.equal(kind(2), "lane")
})

test("a status of a newer library is the lane's, under its number", () => {
  const failure = statusFailure(99, 7, "read")
  assert.deepEqual([failure.kind, failure.status], ["lane", "status 99"])
})

test("a notice is never refused for a key that it does not have", () => {
  assert.equal(statusFailure(abi.IBV_WC_REM_ACCESS_ERR, 0, "notice").kind, "lane")
  assert.equal(statusFailure(abi.IBV_WC_LOC_LEN_ERR, 0, "notice").kind, "lane")
  assert.equal(statusFailure(abi.IBV_WC_WR_FLUSH_ERR, 0, "notice").kind, "flushed")
})
