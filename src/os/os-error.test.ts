import assert from "node:assert/strict"
import { test } from "node:test"
import { errnoName, osError } from "./os-error.ts"

test("a failed call is told by its name and its errno, as a word and as a number", () => {
  const error = osError("bind", 98, { what: "cannot listen", next: "choose another port" }, "KV_PORT_IN_USE")
  assert.equal(error.code, "KV_PORT_IN_USE")
  assert.equal(error.message, "cannot listen; why: bind answered EADDRINUSE (98); next: choose another port")
  assert.equal(osError("mmap", 12, { what: "refused" }).code, "KV_OS")
})

test("an errno that nobody knows is told by its number", () => {
  assert.equal(errnoName(11), "EAGAIN")
  assert.equal(errnoName(99_999), "errno 99999")
})
