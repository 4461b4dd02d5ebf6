import assert from "node:assert/strict"
import { test } from "node:test"
import { kvferry } from "./run-kvferry.ts"

test("kvferry config show prints where each value came from, and exits 0", async () => {
  const { code, stdout, stderr } = await kvferry(["config", "show", "--origin", "--numa", "1"], {
    env: { MC_GID_INDEX: "3", MC_FORCE_TCP: "1" },
  })
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^gid-index +3 +MC_GID_INDEX /m)
  assert.match(stdout, /^numa +1 +--numa /m)
  assert.match(stdout, /warning: MC_FORCE_TCP is set/)
})

test("kvferry config show --json is one document; a value that cannot be read makes it exit 2", async () => {
  const { code, stdout } = await kvferry(["config", "show", "--json"], {
    env: { MC_SLICE_SIZE: "\u001b[31mbig", MC_REDIS_PASSWORD: "hunter2" },
  })
  assert.equal(code, 2)
  assert.doesNotMatch(stdout.trimEnd(), /[\p{Cc}]|hunter2/u)
  const report = JSON.parse(stdout) as { schema: string; problems: { code: string; what: string }[] }
  assert.deepEqual([report.schema, report.problems[0]?.code], ["kvferry/config/1", "KV_USAGE"])
  assert.match(report.problems[0]!.what, /^MC_SLICE_SIZE is /)
})

test("a worker refuses a wrong option with its name, and passes over another program's where no path uses RDMA", async () => {
  const worker = ["worker", "--role", "decode", "--paths", "loopback"]
  const wrong = await kvferry([...worker, "--relaxed-ordering", "maybe"])
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /--relaxed-ordering is "maybe" \(KV_USAGE\)[\s\S]*off, on, auto/)
  const demo = ["demo", "--json", "--prompt", "The sea", "--max-tokens", "2"]
  const foreign = await kvferry([...demo, "--paths", "shm,tcp"], {
    env: { MC_SLICE_SIZE: "big" },
  })
  assert.equal(foreign.code, 0, foreign.stderr)
})
