import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { once } from "node:events"
import { killAtExit, letGo } from "../../bench/kill-at-exit.ts"
import { asKvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"
import type { EngineCommand } from "../engines/engine-command.ts"
import { answerForms, envelope } from "./answer-forms.ts"
import { AnswerLines } from "./answer-lines.ts"
import { childEnd } from "./child-end.ts"
import { DriverFailed, type DriverFailure } from "./driver-failed.ts"
import { DriverMemory } from "./driver-memory.ts"
import { engineLine } from "./engine-text.ts"
import { LastWords } from "./last-words.ts"
import { removeLeftovers } from "./leftovers.ts"
import type { Answers, Op, Questions } from "./protocol.ts"

/** Time for an answer when nobody says otherwise, beside the time that the question itself names. */
const answerMillisDefault = 10_000
/** A driver that was asked to end and has not by then is killed. */
const endMillis = 2000
const textChars = 1000

interface Waiting {
  readonly op: Op
  readonly timer: NodeJS.Timeout
  resolve(answer: unknown): void
  reject(error: DriverFailed): void
}

/**
 * A driver as the judge holds it: one process, in a session of its own, so that a Ctrl-C of the terminal reaches the judge alone.
 * It ends with the judge, or earlier: when its standard input ends.
 */
export class DriverProcess implements AsyncDisposable {
  readonly engine: EngineCommand
  readonly pid: number
  readonly #child: ChildProcessWithoutNullStreams
  readonly #words = new LastWords()
  readonly #waiting = new Map<number, Waiting>()
  readonly #ended: Promise<void>
  #nextCall = 1
  #answeredAt = performance.now()
  #memory: DriverMemory | undefined
  /** Why nothing can be asked any more. */
  #gone: { readonly text: string } | undefined

  /** Starts the process; `open` comes next. @throws DriverFailed when there is no such program. */
  static async start(engine: EngineCommand): Promise<DriverProcess> {
    const child = spawn(engine.command, engine.args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...engine.env },
      detached: true,
    })
    try {
      await once(child, "spawn")
    } catch (thrown) {
      const why = oneLine(thrown instanceof Error ? thrown.message : String(thrown), textChars)
      throw new DriverFailed("crash", {
        code: "crash",
        text: `a driver of ${engine.spec.name} did not start: ${why}`,
        log: "",
      })
    }
    return new DriverProcess(engine, child)
  }

  private constructor(engine: EngineCommand, child: ChildProcessWithoutNullStreams) {
    this.engine = engine
    this.pid = child.pid!
    this.#child = child
    killAtExit(child)
    const lines = new AnswerLines({
      line: (line) => this.#hear(line),
      overlong: (start) => this.#spoil(`an endless line that begins ${oneLine(start, 60)}`),
    })
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => lines.hear(chunk))
    child.stderr.on("data", (chunk: Buffer) => this.#words.hear(chunk))
    // What is written to one that has died goes nowhere; its end is told by its exit.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on("error", () => {})
    child.on("error", () => {})
    this.#ended = childEnd(child).then(({ code, signal }) => {
      letGo(child)
      removeLeftovers(this.pid)
      this.#lose(signal === null ? `exited with code ${code}` : `ended by ${signal}`)
    })
  }

  /** The end of what it wrote to its standard error, cleaned. */
  get lastWords(): string {
    return this.#words.text
  }

  /** False once it has ended, or has written what is no answer. */
  get alive(): boolean {
    return this.#gone === undefined
  }

  /** When it last answered a question, by `performance.now`; when it was started, before that. */
  get answeredAt(): number {
    return this.#answeredAt
  }

  /** Resolves when the process is no more. */
  get ended(): Promise<void> {
    return this.#ended
  }

  /** Its regions, mapped here. They can be looked at until this is disposed of, also when it is dead. */
  get memory(): DriverMemory["regions"] {
    if (this.#memory === undefined) throw new Error("a driver has no memory before it was opened")
    return this.#memory.regions
  }

  /** Opens the engine's agent, and maps its memory. @throws DriverFailed. */
  async open(args: Questions["open"], options: { readonly millis?: number } = {}): Promise<Answers["open"]> {
    const answer = await this.ask("open", args, { millis: options.millis ?? 60_000 })
    try {
      this.#memory = new DriverMemory(this.pid, answer.memory, args.name)
    } catch (thrown) {
      const { message } = asKvError(thrown, "KV_OS", `the memory of ${args.name} cannot be mapped`)
      throw this.#failed("crash", `its memory cannot be looked at: ${message}`)
    }
    return answer
  }

  /**
   * Asks and waits. Questions may be asked before earlier ones are answered; a driver takes them in turn.
   * @param options.millis time for the answer: 10 s more than the question itself names when absent.
   * @throws DriverFailed
   */
  ask<O extends Op>(
    op: O,
    args: Questions[O],
    options: { readonly millis?: number } = {},
  ): Promise<Answers[O]> {
    if (this.#gone !== undefined) return Promise.reject(this.#failed("crash", this.#gone.text))
    const call = this.#nextCall++
    const millis = options.millis ?? answerMillisDefault + ownMillis(args)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(call)
        reject(this.#failed("hang", `no answer to ${op} within ${millis} ms`))
      }, millis)
      this.#waiting.set(call, { op, timer, resolve: resolve as Waiting["resolve"], reject })
      this.#child.stdin.write(`${JSON.stringify({ ...args, call, op })}\n`)
    })
  }

  /** Ends it at once (SIGKILL), and waits until it is gone. */
  async kill(): Promise<void> {
    this.#signal("SIGKILL")
    await this.#ended
  }

  /** Stops the process (SIGSTOP), as a debugger or a swapped-out host would. */
  pause(): void {
    this.#signal("SIGSTOP")
  }

  resume(): void {
    this.#signal("SIGCONT")
  }

  /** Asks it to end; kills it where it does not. Its memory is given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#gone === undefined) {
      this.resume()
      const timer = setTimeout(() => this.#signal("SIGKILL"), endMillis)
      await this.ask("close", {}, { millis: endMillis }).catch(() => {})
      this.#child.stdin.end()
      await this.#ended
      clearTimeout(timer)
    } else await this.kill()
    this.#memory?.[Symbol.dispose]()
  }

  #hear(line: string): void {
    const read = envelope.safeParse(parsed(line))
    if (!read.success) return this.#spoil(`a line that is no answer: ${engineLine(line, 80)}`)
    const message = read.data
    const waiting = this.#waiting.get(message.call)
    // An answer that comes after its question was given up.
    if (waiting === undefined) return
    this.#waiting.delete(message.call)
    this.#answeredAt = performance.now()
    clearTimeout(waiting.timer)
    if ("error" in message) {
      const { code, text } = message.error
      waiting.reject(this.#failed("error", engineLine(text, textChars), engineLine(code, 80)))
      return
    }
    const answer = answerForms[waiting.op].safeParse(message.answer)
    if (answer.success) waiting.resolve(answer.data)
    else {
      const where = answer.error.issues[0]
      const what = `${oneLine(where?.path.join(".") ?? "", 80)}: ${oneLine(where?.message ?? "", 200)}`
      waiting.reject(this.#failed("crash", `its answer to ${waiting.op} makes no sense (${what})`))
      this.#spoil(`an answer to ${waiting.op} that makes no sense (${what})`)
    }
  }

  /** Whoever writes rubbish is not asked again: nobody knows what its next line would answer. */
  #spoil(what: string): void {
    this.#lose(`wrote ${what}`)
    this.#signal("SIGKILL")
  }

  #lose(text: string): void {
    this.#gone ??= { text: `the driver ${text}` }
    for (const { timer, reject } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(this.#failed("crash", this.#gone.text))
    }
    this.#waiting.clear()
  }

  #failed(kind: DriverFailure, text: string, code: string = kind): DriverFailed {
    return new DriverFailed(kind, { code, text, log: this.lastWords })
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    try {
      // The whole group: an engine may have started helpers of its own.
      process.kill(-this.pid, signal)
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** The time that a question names itself. */
function ownMillis(args: object): number {
  return "millis" in args && typeof args.millis === "number" ? args.millis : 0
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
