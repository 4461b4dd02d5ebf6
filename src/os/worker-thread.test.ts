import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { test } from "node:test"
import { promisify } from "node:util"

test("the library's threads start in a program that came by --eval", async () => {
  const entry = new URL("../movers/thread-crew.js", import.meta.url).href
  const program = `
    import { openCrew } from ${JSON.stringify(entry)}
    const crew = await openCrew({ threads: 1 })
    console.log(crew.threads)
    await crew[Symbol.asyncDispose]()`
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program])
  assert.equal(stdout.trim(), "1")
})
