import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { freeMemory } from "./free-memory.ts"

const limit = 2 ** 30

/** A control group of ours with a limit, of whichever version this machine has; it ends with the test. */
function limitedGroup(t: TestContext): string | undefined {
  const own = readFileSync("/proc/self/cgroup", "utf8")
  const versions = [
    { path: /^0::(\/.*)$/m, root: "/sys/fs/cgroup", file: "memory.max" },
    { path: /:memory:(\/.*)$/m, root: "/sys/fs/cgroup/memory", file: "memory.limit_in_bytes" },
  ]
  for (const { path, root, file } of versions) {
    const folder = join(root, path.exec(own)?.[1] ?? "/", `kvferry-test-${process.pid}`)
    try {
      mkdirSync(folder)
    } catch {
      continue
    }
    t.after(() => rmdirSync(folder))
    // A group without a controller of memory has no such file, and neither has a folder that is no group.
    if (!existsSync(join(folder, file))) continue
    writeFileSync(join(folder, file), String(limit))
    return folder
  }
  return undefined
}

test("in a control group free memory is what its limit leaves", (t) => {
  const folder = limitedGroup(t)
  if (folder === undefined) return t.skip("no control group can be made here")
  const module = new URL("free-memory.js", import.meta.url).href
  const script = `import { freeMemory } from ${JSON.stringify(module)}; console.log(JSON.stringify(freeMemory()))`
  const enter = `echo $$ > "$1/cgroup.procs" && exec "$2" --input-type=module -e "$3"`
  const { status, stdout, stderr } = spawnSync("sh", ["-c", enter, "sh", folder, process.execPath, script], {
    encoding: "utf8",
  })
  assert.equal(status, 0, stderr)
  const inside = JSON.parse(stdout) as ReturnType<typeof freeMemory>
  const least = Math.min(limit, freeMemory().bytes)
  assert.ok(inside.bytes <= least && inside.bytes > least / 2, `${inside.bytes} of ${limit}`)
  assert.match(inside.limit, /1073741824/)
})
