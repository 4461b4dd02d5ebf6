import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const command = fileURLToPath(new URL("../cli/main.js", import.meta.url))
/** A command that has not ended by then is killed, and its test fails. */
const patienceMillis = 120_000

/** A home of its own: a command that makes a secret at first use, or writes receipts, leaves none in the user's. */
export const home = mkdtempSync(join(tmpdir(), "kvferry-home-"))
process.on("exit", () => rmSync(home, { recursive: true, force: true }))

/** How a run of the command line ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts `kvferry` as its user does: a process of its own, with text or nothing on standard input. */
export function startKvferry(
  args: readonly string[],
  options: { readonly input?: string | Uint8Array; readonly env?: NodeJS.ProcessEnv } = {},
): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [command, ...args], {
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", HOME: home, KVFERRY_HOME: "", ...options.env },
  })
  child.stdin?.end(options.input)
  const timer = setTimeout(() => child.kill("SIGKILL"), patienceMillis)
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout!.on("data", (chunk: Buffer) => out.push(chunk))
  child.stderr!.on("data", (chunk: Buffer) => err.push(chunk))
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code) => {
      clearTimeout(timer)
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
  })
  return { child, ended }
}

/** Runs `kvferry` to its end. */
export const kvferry = (
  args: readonly string[],
  options: { readonly input?: string | Uint8Array; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> => startKvferry(args, options).ended
