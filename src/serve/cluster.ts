import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { KvError, kvErrorFromRecord } from "../errors/kv-error.ts"

/** How the three processes of a small cluster are started. */
export interface ClusterOptions {
  /** Model folder for all three. */
  readonly model: string
  /** Tokens of prompt and answer together; the model's own, or the default for large ones, when left out. */
  readonly context?: number
  readonly secretFile: string
  /** Port of the frontend; 0 takes a free one. */
  readonly port: number
  /** More options for both workers, as on the command line. */
  readonly workerArgs: readonly string[]
  /** More options for the decode worker alone. */
  readonly decodeArgs: readonly string[]
  /** Starts a process anew, at its old ports, when it has died. */
  readonly restart: boolean
  readonly onEvent?: (event: ClusterEvent) => void
}

/** What happens to the processes of a cluster. */
export interface ClusterEvent {
  readonly process: ProcessName
  readonly what: "started" | "died" | "given up"
  readonly pid: number
  readonly why?: string
}

export type ProcessName = "prefill" | "decode" | "frontend"

/** The line that a process prints when it is ready. */
export interface ReadyLine {
  readonly ready: true
  readonly url: string
  readonly pid: number
  readonly agent?: string
}

const command = fileURLToPath(new URL("../cli/main.js", import.meta.url))
/** Restarts of one process in a row before it is given up. */
const restartsMax = 5
/** A process that has run this long starts counting anew. */
const stableMillis = 10_000

/**
 * A frontend, a prefill worker and a decode worker as three processes, all ending with this one.
 *
 * @throws KvError what the first process that failed to start said.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const cluster = new Cluster(options)
  try {
    await cluster.start()
    return cluster
  } catch (thrown) {
    await cluster[Symbol.asyncDispose]()
    throw thrown
  }
}

/** See `startCluster`. */
export class Cluster implements AsyncDisposable {
  readonly #options: ClusterOptions
  readonly #children = new Map<ProcessName, ChildProcess>()
  readonly #ready = new Map<ProcessName, ReadyLine>()
  #stopping = false

  constructor(options: ClusterOptions) {
    this.#options = options
  }

  /** Where a process is reached, and its pid. */
  process(name: ProcessName): ReadyLine {
    const ready = this.#ready.get(name)
    if (ready === undefined) throw new Error(`${name} has not started`)
    return ready
  }

  /** Base URL of the frontend. */
  get url(): string {
    return this.process("frontend").url
  }

  async start(): Promise<void> {
    await Promise.all([this.#launch("prefill"), this.#launch("decode")])
    await this.#launch("frontend")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true
    await Promise.all([...this.#children.values()].map(endChild))
  }

  async #launch(name: ProcessName, before = 0): Promise<void> {
    // Its standard input is a leash: when this process dies, however that happens, it ends and the child sees it.
    // A process group of its own: Ctrl-C is for this process, which ends its children in order.
    const child = spawn(process.execPath, [command, ...this.#args(name)], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    })
    this.#children.set(name, child)
    const startedAt = performance.now()
    const ready = await firstLine(name, child)
    this.#ready.set(name, ready)
    this.#options.onEvent?.({ process: name, what: "started", pid: ready.pid })
    child.once("exit", (code, signal) => {
      if (this.#stopping) return
      const why = signal === null ? `exit code ${code}` : `signal ${signal}`
      this.#options.onEvent?.({ process: name, what: "died", pid: ready.pid, why })
      const tries = performance.now() - startedAt > stableMillis ? 0 : before + 1
      if (!this.#options.restart) return
      if (tries >= restartsMax) this.#options.onEvent?.({ process: name, what: "given up", pid: ready.pid })
      else this.#relaunch(name, tries)
    })
  }

  #relaunch(name: ProcessName, tries: number): void {
    setTimeout(
      () => {
        if (this.#stopping) return
        this.#launch(name, tries).catch((thrown: unknown) => {
          const why = thrown instanceof Error ? thrown.message : String(thrown)
          this.#options.onEvent?.({ process: name, what: "died", pid: 0, why })
          if (tries + 1 < restartsMax) this.#relaunch(name, tries + 1)
        })
      },
      200 * 2 ** tries,
    )
  }

  #args(name: ProcessName): string[] {
    const { model, context, secretFile, port, workerArgs, decodeArgs } = this.#options
    const limits = context === undefined ? [] : ["--context", String(context)]
    const common = ["--model", model, ...limits, "--secret-file", secretFile, "--leash"]
    const known = this.#ready.get(name)
    const ownPort = known === undefined ? undefined : new URL(known.url).port
    if (name === "frontend") {
      const workers = ["--prefill", this.process("prefill").url, "--decode", this.process("decode").url]
      // A demo tells each failure itself; its frontend's log would only stand in the middle of an answer.
      const log = ["--log", this.#options.restart ? "warn" : "silent"]
      return ["frontend", ...common, ...workers, ...log, "--port", ownPort ?? String(port)]
    }
    const agentPort = known?.agent?.split(":").at(-1) ?? "0"
    const ports = ["--port", ownPort ?? "0", "--agent-port", agentPort]
    return [
      "worker",
      "--role",
      name,
      ...common,
      ...ports,
      ...workerArgs,
      ...(name === "decode" ? decodeArgs : []),
    ]
  }
}

/** Waits for the line that a process prints when it is ready, or for its error, which is printed the same way. */
function firstLine(name: ProcessName, child: ChildProcess): Promise<ReadyLine> {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout! })
    const early = (code: number | null, signal: string | null): void => {
      reject(
        new KvError("KV_WORKER_LOST", {
          what: `the ${name} process ended before it was ready`,
          why: signal === null ? `exit code ${code}` : `signal ${signal}`,
          next: "its own words stand above",
        }),
      )
    }
    child.once("error", reject)
    child.once("exit", early)
    lines.once("line", (line) => {
      child.off("exit", early)
      try {
        const said: unknown = JSON.parse(line)
        if (typeof said === "object" && said !== null && "ready" in said) return resolve(said as ReadyLine)
        reject(
          kvErrorFromRecord(
            typeof said === "object" && said !== null && "error" in said ? said.error : said,
            "KV_WORKER_LOST",
          ),
        )
      } catch {
        reject(
          new KvError("KV_WORKER_LOST", {
            what: `the ${name} process said ${JSON.stringify(line.slice(0, 200))}`,
          }),
        )
      }
    })
  })
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  child.kill("SIGTERM")
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000)
  await gone
  clearTimeout(timer)
}
