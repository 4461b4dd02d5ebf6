/** `npm run lab` without a command: the lab's own tests on this machine, then every RDMA suite in one guest. */
import { spawnSync } from "node:child_process"
import { join, relative } from "node:path"

const reporter = ["--test", "--test-reporter=spec", "--test-concurrency=1", "--test-timeout=120000"]

/**
 * @param root the repository
 * @param files its suites, `*.lab.test.js` and `*.lab.test.mjs`, from the root
 * @param options of the lab; without a command
 * @param runInLab boots a guest
 * @returns the exit code: of the guest's suites, or of the runner's own when only they failed
 */
export async function runSuites(root, files, options, runInLab) {
  // Where it cannot run, one reason is enough.
  await runInLab({ ...options, cwd: root, command: ["true"] })
  const own = join(root, "tools", "lab", "lab.test.mjs")
  const { status } = spawnSync(process.execPath, [...reporter, own], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, KVFERRY_LAB_MACHINE: options.machine },
  })
  const code = await runInLab({
    ...options,
    cwd: root,
    wires: Math.max(1, options.wires),
    command: ["node", ...reporter, ...files.map((file) => relative(root, join(root, file)))],
  })
  return code === 0 ? (status ?? 1) : code
}
