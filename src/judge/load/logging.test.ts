import assert from "node:assert/strict"
import { test } from "node:test"
import { loggingVariables } from "./logging.ts"

test("what makes an engine log is named, and what keeps it quiet is not", () => {
  assert.deepEqual(
    loggingVariables({ NIXL_LOG_LEVEL: "TRACE", UCX_LOG_LEVEL: "info", FI_LOG_LEVEL: "warn" }),
    ["NIXL_LOG_LEVEL", "UCX_LOG_LEVEL"],
  )
  assert.deepEqual(loggingVariables({ NIXL_LOG_LEVEL: "ERROR", MC_LOG_LEVEL: "" }), [])
})
