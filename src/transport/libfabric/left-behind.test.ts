/** What a process leaves in `/dev/shm` that ends without closing its endpoints. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { readdirSync, unlinkSync } from "node:fs"
import { test } from "node:test"
import { noLibfabric } from "./two-rails.test.kit.ts"

const skip = noLibfabric()
const kit = new URL("./two-rails.test.kit.js", import.meta.url).href

/** Opens two endpoints of shm in a process and ends that; returns the files that it had, and those that are left. */
function endWith(end: string): { readonly had: string[]; readonly left: string[] } {
  const script = `
    import { readdirSync } from "node:fs"
    const { TwoRails } = await import(${JSON.stringify(kit)})
    const rails = new TwoRails("shm", 2 ** 20)
    await rails.join({ read: true, write: true })
    const had = readdirSync("/dev/shm").filter((name) => name.startsWith(process.pid + ":"))
    process.stdout.write(JSON.stringify(had))
    ${end}`
  const args = ["--input-type=module", "--eval", script]
  const { pid, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" })
  assert.notEqual(stdout, "", stderr)
  const left = readdirSync("/dev/shm").filter((name) => name.startsWith(`${pid}:`))
  for (const name of left) unlinkSync(`/dev/shm/${name}`)
  return { had: JSON.parse(stdout) as string[], left }
}

test("a process that ends without closing its endpoints of shm takes their memory with it; one that is killed cannot", {
  skip,
}, () => {
  const ended = endWith("process.exit(0)")
  assert.deepEqual([ended.had.length, ended.left], [2, []])
  const killed = endWith('process.kill(process.pid, "SIGKILL")')
  assert.deepEqual(killed.left, killed.had)
})
