/** Agents in processes of their own, for promises that speak of deaths. */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { clusterSecret } from "../agent/agent.test.kit.ts"
import type { AgentTimes } from "../agent/agent.ts"
import type { TransferReceipt } from "../receipt/receipt.ts"
import type { Rights } from "../transport/transport.ts"

const script = fileURLToPath(new URL("agent-process.test.kit.js", import.meta.url))
/** A command that is not answered by then has hung: the test fails. */
const patienceMillis = 20_000

/** An agent in a process of its own. */
export interface AgentProcess extends AsyncDisposable {
  readonly pid: number
  readonly ended: Promise<void>
  /** Sends a command, and waits for its answer. */
  ask<Result>(command: string, ...args: readonly unknown[]): Promise<Result>
  signal(signal: NodeJS.Signals): void
}

export type Pulled = TransferReceipt

/** Starts one over a transport. */
export async function startAgent(
  transport: string,
  { times = {}, offers = { read: true, write: true } }: { times?: Partial<AgentTimes>; offers?: Rights } = {},
): Promise<AgentProcess> {
  const secret = Buffer.from(clusterSecret).toString("hex")
  const args = [script, transport, secret, JSON.stringify(times), JSON.stringify(offers)]
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  void ended.then(() => {
    for (const { reject } of waiting.values()) reject(new Error("the process has ended"))
  })
  // What is written to one that has been killed goes nowhere.
  child.stdin.on("error", () => {})
  const answered = (id: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer within ${patienceMillis} ms`)),
        patienceMillis,
      )
      const settle =
        <T>(action: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer)
          waiting.delete(id)
          action(value)
        }
      waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
    })
  createInterface({ input: child.stdout }).on("line", (line) => {
    const [id, result, error] = JSON.parse(line) as [number, unknown, string?]
    if (error === undefined) waiting.get(id)?.resolve(result)
    else waiting.get(id)?.reject(new Error(error))
  })
  let last = 0
  const pid = (await answered(0)) as number
  return {
    pid,
    ended,
    ask: async <Result>(command: string, ...more: readonly unknown[]) => {
      const answer = answered(++last)
      child.stdin.write(`${JSON.stringify([last, command, ...more])}\n`)
      return (await answer) as Result
    },
    signal: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL")
      await ended
    },
  }
}

/** Waits until something is so. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + patienceMillis
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${patienceMillis} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
