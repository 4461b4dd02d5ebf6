import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { KvError } from "../../errors/kv-error.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type { RunTimes } from "../contender.ts"
import { killAtExit, letGo } from "../kill-at-exit.ts"
import type { Repeats } from "../sides/timed.ts"
import type { PeerKind } from "./peer-list.ts"

const scripts = fileURLToPath(new URL("../../../tools/peers/", import.meta.url))
/** Python, its libraries, an engine and two pools that are mapped. */
const startMillisMax = 60_000
/** The slowest job of the slowest peer takes seconds; one that hangs must not hang the benchmark. */
const answerMillisMax = 120_000
/** Words of a failing peer that are kept to say why. */
const errorCharsMax = 2000

/** Where the peers find the pools of the two sides. */
export interface PeerPools {
  readonly source: readonly string[]
  readonly target: readonly string[]
  readonly regionBytes: number
}

/** Another engine: a target process, which starts a source process. Both sleep (SIGSTOP) while it is not their turn. */
export class PeerProcess implements AsyncDisposable {
  readonly kind: PeerKind
  /** Version and configuration, in its own words. */
  readonly about: string
  readonly pids: readonly number[]
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #kill: () => void

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE with the peer's own words. */
  static async start(
    kind: PeerKind,
    python: string,
    pools: PeerPools,
    plans: readonly TransferPlan[],
  ): Promise<PeerProcess> {
    const env = { ...process.env, ...kind.env, PYTHONDONTWRITEBYTECODE: "1", NIXL_LOG_LEVEL: "ERROR" }
    const child = spawn(python, [scripts + kind.script], { stdio: ["pipe", "pipe", "pipe"], env })
    let words = ""
    child.stderr.on("data", (data: Buffer) => {
      words = (words + data.toString()).slice(-errorCharsMax)
    })
    // A write to a peer that has died: its end is told by its last line, or by the lack of one.
    child.stdin.on("error", () => {})
    const kill = (): void => void child.kill("SIGKILL")
    killAtExit(child)
    try {
      const spawned = once(child, "spawn")
      await spawned
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const { source, target, regionBytes } = pools
      const jobs = plans.map(columnsOf)
      const spec = { source, target, region_bytes: regionBytes, jobs, options: kind.options }
      child.stdin.write(`${JSON.stringify(spec)}\n`)
      const hello = await answered(lines, startMillisMax, kill)
      const pids = [child.pid!, Number(hello["source_pid"])]
      const started = new PeerProcess(kind, String(hello["about"]), pids, child, lines, kill)
      started.sleep()
      return started
    } catch (thrown) {
      letGo(child)
      kill()
      throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
        what: `${kind.name} does not run here`,
        why: lastWords(words) ?? (thrown instanceof Error ? thrown.message : String(thrown)),
        next: "see docs/benchmarks/README.md for what a Python with the peers needs",
      })
    }
  }

  private constructor(
    kind: PeerKind,
    about: string,
    pids: readonly number[],
    child: ChildProcess,
    lines: AsyncIterator<string>,
    kill: () => void,
  ) {
    this.kind = kind
    this.about = about
    this.pids = pids
    this.#child = child
    this.#lines = lines
    this.#kill = kill
  }

  async run(job: number, { repeats, pauseMicros }: Repeats): Promise<RunTimes> {
    const answer = await this.#ask({ run: job, repeats, pause_micros: pauseMicros })
    return {
      micros: answer["micros"] as number[],
      prepareMicros: Number(answer["prepare_micros"]),
      sourceCpuMicros: Number(answer["source_cpu_micros"]) / repeats,
      targetCpuMicros: Number(answer["target_cpu_micros"]) / repeats,
    }
  }

  /** Cores that each side keeps busy while nothing moves. */
  async idle(seconds: number): Promise<{ readonly source: number; readonly target: number }> {
    const answer = await this.#ask({ idle: seconds })
    return { source: Number(answer["source_cores"]), target: Number(answer["target_cores"]) }
  }

  /** Stops both processes, so that their threads take nothing from whoever is measured now. */
  sleep(): void {
    this.#signal("SIGSTOP")
  }

  async [Symbol.asyncDispose](): Promise<void> {
    letGo(this.#child)
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const exited = once(this.#child, "exit")
    // The source is the target's child: the kernel ends it with its parent, also when both are stopped.
    this.#kill()
    await exited
  }

  async #ask(order: Readonly<Record<string, number>>): Promise<Readonly<Record<string, unknown>>> {
    this.#signal("SIGCONT")
    try {
      this.#child.stdin!.write(`${JSON.stringify(order)}\n`)
      return await answered(this.#lines, answerMillisMax, this.#kill)
    } finally {
      this.sleep()
    }
  }

  #signal(signal: "SIGSTOP" | "SIGCONT"): void {
    for (const pid of this.pids) {
      try {
        process.kill(pid, signal)
      } catch {
        // It has ended: the next answer that does not come says so.
      }
    }
  }
}

async function answered(
  lines: AsyncIterator<string>,
  millisMax: number,
  kill: () => void,
): Promise<Readonly<Record<string, unknown>>> {
  const timer = setTimeout(kill, millisMax)
  try {
    const { value, done } = await lines.next()
    if (done === true) throw new Error("it ended without an answer")
    const answer = JSON.parse(value) as Readonly<Record<string, unknown>>
    if (typeof answer["error"] === "string") throw new Error(answer["error"])
    return answer
  } finally {
    clearTimeout(timer)
  }
}

function columnsOf(plan: TransferPlan): Readonly<Record<string, string>> {
  const wide = (offsets: Float64Array): BigUint64Array =>
    BigUint64Array.from(offsets, (offset) => BigInt(offset))
  const text = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64")
  return {
    source_region: text(plan.sourceRegion),
    source_offset: text(wide(plan.sourceOffset)),
    target_region: text(plan.targetRegion),
    target_offset: text(wide(plan.targetOffset)),
    length: text(plan.length),
  }
}

/** The last line that says something: Python's name for the error, or the engine's. */
function lastWords(words: string): string | undefined {
  return words
    .split("\n")
    .findLast((line) => /Error|Exception|error/.test(line))
    ?.trim()
}
