import type { MemorySpan } from "../../memory/host-memory.ts"
import { DriverProcess } from "../driver/driver-process.ts"
import type { Answers, Op, Questions } from "../driver/protocol.ts"
import type { EngineCommand } from "../engines/engine-command.ts"
import type { KnownAgent } from "../pattern/cache-places.ts"
import type { Pattern } from "../pattern/pattern.ts"
import type { DealtAgent } from "./deal-load.ts"
import { type Arrival, type Checked, JudgedMemory, type Places } from "./judged-memory.ts"
import type { LoadAgent } from "./load-agent.ts"

/** A driver of this machine, and its memory as the judge sees it. */
export class LocalAgent implements LoadAgent {
  readonly dealt: DealtAgent
  readonly #driver: DriverProcess
  readonly #pattern: Pattern
  readonly #agents: readonly KnownAgent[]
  #memory: JudgedMemory | undefined

  /**
   * Starts the driver's process.
   * @param agents all agents of the load, by owner.
   * @throws DriverFailed
   */
  static async start(
    command: EngineCommand,
    dealt: DealtAgent,
    agents: readonly KnownAgent[],
    pattern: Pattern,
  ): Promise<LocalAgent> {
    return new LocalAgent(await DriverProcess.start(command), dealt, agents, pattern)
  }

  private constructor(
    driver: DriverProcess,
    dealt: DealtAgent,
    agents: readonly KnownAgent[],
    pattern: Pattern,
  ) {
    this.#driver = driver
    this.dealt = dealt
    this.#agents = agents
    this.#pattern = pattern
  }

  get lastWords(): string {
    return this.#driver.lastWords
  }

  get pid(): number {
    return this.#driver.pid
  }

  /** Its regions, for a ceiling that copies between the same pages. */
  get spans(): readonly MemorySpan[] {
    return this.#driver.memory
  }

  async open(question: Questions["open"]): Promise<Answers["open"]> {
    const answer = await this.#driver.open(question)
    this.#memory = new JudgedMemory(this.#driver.memory, this.#pattern, this.dealt.owner, this.#agents)
    return answer
  }

  ask<O extends Op>(op: O, args: Questions[O], millis?: number): Promise<Answers[O]> {
    return this.#driver.ask(op, args, millis === undefined ? {} : { millis })
  }

  fillAll(epoch: number, poison: boolean): Promise<void> {
    return this.#opened.fillAll(epoch, poison)
  }

  async fill(places: Places, epoch: number, poison: boolean): Promise<void> {
    this.#opened.fill(places, epoch, poison)
  }

  async checkPieces(arrivals: readonly Arrival[], bytesMax: number, from: number): Promise<Checked> {
    return this.#opened.checkPieces(arrivals, bytesMax, from)
  }

  checkAll(arrivals: readonly Arrival[]): Promise<Checked> {
    return this.#opened.checkAll(arrivals)
  }

  checkSource(epoch: number): Promise<Checked> {
    return this.#opened.checkSource(epoch)
  }

  async pause(): Promise<void> {
    this.#driver.pause()
  }

  async resume(): Promise<void> {
    this.#driver.resume()
  }

  kill(): Promise<void> {
    return this.#driver.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#driver[Symbol.asyncDispose]()
  }

  get #opened(): JudgedMemory {
    if (this.#memory === undefined) throw new Error("an agent is opened first")
    return this.#memory
  }
}
