/** `npm run lab` without a command: the lab's own tests on this machine, then every RDMA suite in one guest. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { constants } from "node:os"
import { join } from "node:path"

/** Arguments of Node's runner. Its time limit holds for a test, and for a file of tests as well. */
function runner({ timeoutSeconds }) {
  return ["--test", "--test-reporter=spec", "--test-concurrency=1", `--test-timeout=${timeoutSeconds * 500}`]
}

/**
 * @param root the repository
 * @param files its suites, `*.lab.test.js` and `*.lab.test.mjs`, from the root
 * @param options of the lab; without a command
 * @param runInLab boots a guest
 * @returns the exit code: of the guest's suites, or of the lab's own tests when only they failed
 */
export async function runSuites(root, files, options, runInLab) {
  // Where it cannot run, one reason is enough.
  const first = await runInLab({ ...options, cwd: root, command: ["true"] })
  if (first !== 0) return first
  const { code: own, signal } = await ownTests(root, options)
  if (signal !== null) return 128 + constants.signals[signal]
  const wires = Math.max(2, options.wires)
  const command = ["node", ...runner(options), ...files]
  const code = await runInLab({ ...options, cwd: root, wires, command })
  return code === 0 ? own : code
}

/** In a process group of their own, so that a signal to this process ends them and the guests that they have booted. */
async function ownTests(root, options) {
  const file = join(root, "tools", "lab", "lab.test.mjs")
  const child = spawn(process.execPath, [...runner(options), file], {
    cwd: root,
    detached: true,
    stdio: "inherit",
    env: { ...process.env, KVFERRY_LAB_MACHINE: options.machine },
  })
  let told = null
  const tell = (signal) => {
    told = signal
    process.kill(-child.pid, signal)
  }
  const signals = ["SIGHUP", "SIGINT", "SIGTERM"]
  for (const signal of signals) process.on(signal, tell)
  const [code, signal] = await once(child, "close")
  for (const signal of signals) process.off(signal, tell)
  return { code, signal: told ?? signal }
}
