import { spawn } from "node:child_process"
import { killAtExit, letGo } from "../../bench/kill-at-exit.ts"
import { KvError } from "../../errors/kv-error.ts"
import { childEnd } from "../driver/child-end.ts"

/** How a command ended, and the end of what it said. */
export interface CommandEnd {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined
  /** The signal that ended it. */
  readonly signal?: NodeJS.Signals
  /** It was ended because it took longer than it may. */
  readonly late: boolean
  readonly output: string
  /** The end of its standard output alone. */
  readonly stdout: string
}

/** Of what a command says, this much is kept. */
const keptChars = 64_000

/**
 * Runs a command to its end.
 *
 * It has a process group of its own: a Ctrl-C of the terminal reaches this process alone, which ends the whole group.
 *
 * @param options.line hears each line of either stream.
 * @throws KvError KV_CANCELLED after `signal`; the error of spawn(2) when there is no such program.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: {
    readonly env: NodeJS.ProcessEnv
    readonly signal?: AbortSignal | undefined
    readonly millisMax?: number
    readonly line?: (line: string) => void
  },
): Promise<CommandEnd> {
  const { env, signal, millisMax, line } = options
  if (stopped(signal)) throw interrupted()
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true })
  let output = ""
  let stdout = ""
  let rest = ""
  const hear = (chunk: string): void => {
    output = (output + chunk).slice(-keptChars)
    const lines = (rest + chunk).slice(-keptChars).split("\n")
    rest = lines.pop()!
    for (const each of lines) line?.(each)
  }
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout = (stdout + chunk).slice(-keptChars)
    hear(chunk)
  })
  child.stderr.setEncoding("utf8").on("data", hear)
  const end = (): void => {
    try {
      process.kill(-child.pid!, "SIGKILL")
    } catch {
      // It has ended meanwhile, or never began.
    }
  }
  let late = false
  const expire = (): void => {
    late = true
    end()
  }
  const timer = millisMax === undefined ? undefined : setTimeout(expire, millisMax)
  killAtExit(child)
  signal?.addEventListener("abort", end)
  try {
    const ended = await childEnd(child)
    // What it has started and left behind ends with it.
    end()
    if (stopped(signal)) throw interrupted()
    const by = ended.signal === null ? {} : { signal: ended.signal }
    return { code: ended.code ?? undefined, ...by, late, output, stdout }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener("abort", end)
    letGo(child)
  }
}

const stopped = (signal: AbortSignal | undefined): boolean => signal?.aborted === true

function interrupted(): KvError {
  return new KvError("KV_CANCELLED", { what: "interrupted", next: "nothing is left half made: run it again" })
}
