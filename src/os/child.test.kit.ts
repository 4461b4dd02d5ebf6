import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** How a child process ended, and what it wrote. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** From the child's last line on standard output to its end, in milliseconds. */
  readonly lingeredMillis: number
}

/** A child that has not ended by then is killed, which its test then sees as a signal. */
const limitMillis = 20_000

/**
 * Runs `script` as an ES module in a process of its own: what would crash there does not crash the tests.
 *
 * `ours(path)` inside it imports one of our modules, named from the root of the sources.
 */
export function runInChild(script: string): Promise<Ended> {
  const root = new URL("../", import.meta.url).href
  const prelude = `const ours = (path) => import(${JSON.stringify(root)} + path);\n`
  const folder = mkdtempSync(join(tmpdir(), "kvferry-child-"))
  const file = join(folder, "script.mjs")
  writeFileSync(file, prelude + script)
  const child = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "pipe"] })
  return new Promise((resolve, reject) => {
    let [stdout, stderr] = ["", ""]
    let lastLineAt = performance.now()
    const timer = setTimeout(() => child.kill("SIGKILL"), limitMillis)
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString()
      lastLineAt = performance.now()
    })
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.once("error", reject)
    let lingeredMillis = 0
    child.once("exit", () => {
      lingeredMillis = performance.now() - lastLineAt
    })
    child.once("close", (code, signal) => {
      clearTimeout(timer)
      rmSync(folder, { recursive: true })
      resolve({ code, signal, stdout, stderr, lingeredMillis })
    })
  })
}
