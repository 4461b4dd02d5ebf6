import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { DriverFailed } from "../../driver/driver-failed.ts"
import { CaseFailed } from "../case-failed.ts"
import { refusalOf } from "./large.ts"

const failure = (kind: "error" | "crash") =>
  new DriverFailed(kind, { code: kind, text: "it said so", log: "" })

test("a refusal is an answer, and a crash fails the case", async () => {
  assert.equal(await refusalOf(Promise.resolve()), undefined)
  assert.equal((await refusalOf(Promise.reject(failure("error"))))?.text, "it said so")
  await assert.rejects(refusalOf(Promise.reject(failure("crash"))), CaseFailed)
})

test("what a case that has failed meanwhile waits for no more does not end the judge", async () => {
  // An unhandled rejection would.
  void refusalOf(Promise.reject(failure("crash")))
  await sleep(20)
})
