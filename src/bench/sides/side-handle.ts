import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { KvError, kvErrorFromRecord } from "../../errors/kv-error.ts"
import { killAtExit, letGo } from "../kill-at-exit.ts"
import type { Question, SideAnswers, SideQuestions, SideReply, SideRequest } from "./side-messages.ts"

const entry = fileURLToPath(new URL("./side-process.js", import.meta.url))
/** A process that was asked to end and has not by then is killed. */
const endMillis = 2000

interface Waiting {
  resolve(answer: SideAnswers[Question]): void
  reject(error: KvError): void
}

/** A process of the transfer bench as its parent holds it. It never outlives its parent. */
export class SideHandle implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  readonly #kill = (): void => void this.#child.kill("SIGKILL")
  #nextCall = 1
  #gone: KvError | undefined

  constructor(name: string, signal: AbortSignal) {
    this.name = name
    this.#child = spawn(process.execPath, [entry], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      serialization: "advanced",
    })
    this.#child.on("message", (reply: SideReply) => this.#hear(reply))
    this.#child.on("error", (error) => this.#lost(error.message))
    this.#child.on("exit", (code, killer) =>
      this.#lost(killer === null ? `exit code ${code}` : `signal ${killer}`),
    )
    signal.addEventListener("abort", () => this.#interrupt(), { once: true })
    killAtExit(this.#child)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Asks and waits. @throws KvError what the process said, or KV_WORKER_LOST. */
  ask<Q extends Question>(question: Q, options: SideQuestions[Q]): Promise<SideAnswers[Q]> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    const call = this.#nextCall++
    const request: SideRequest<Q> = { call, question, options }
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve: resolve as Waiting["resolve"], reject })
      this.#child.send(request)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    letGo(this.#child)
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null)
      return
    const exited = once(this.#child, "exit")
    this.ask("end", {}).catch(() => {})
    const timer = setTimeout(this.#kill, endMillis)
    await exited
    clearTimeout(timer)
  }

  #hear(reply: SideReply): void {
    const waiting = this.#waiting.get(reply.call)
    this.#waiting.delete(reply.call)
    if ("error" in reply) waiting?.reject(kvErrorFromRecord(reply.error, "KV_INTERNAL"))
    else waiting?.resolve(reply.answer)
  }

  #interrupt(): void {
    this.#fail(new KvError("KV_CANCELLED", { what: "the bench was interrupted" }))
    this.#kill()
  }

  #lost(why: string): void {
    this.#fail(new KvError("KV_WORKER_LOST", { what: `the bench's ${this.name} process ended`, why }))
  }

  #fail(error: KvError): void {
    this.#gone ??= error
    for (const { reject } of this.#waiting.values()) reject(this.#gone)
    this.#waiting.clear()
  }
}
