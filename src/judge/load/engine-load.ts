import { DriverFailed } from "../driver/driver-failed.ts"
import type { Answers, BytesReceipt } from "../driver/protocol.ts"
import {
  checkVersions,
  connectAll,
  type EngineLoadOptions,
  openQuestion,
  patienceMillis,
  prepareAll,
} from "./connect-engine.ts"
import type { Contender, Finished, RoundOfContender } from "./contender.ts"
import type { DealtMove } from "./deal-load.ts"
import type { LoadAgent } from "./load-agent.ts"
import { MovedBytes, receives } from "./moved-bytes.ts"
import { timeOf } from "./round-time.ts"

/** A transfer that takes longer has failed. */
const timeoutMillis = 30_000
/** Bytes that are looked at after each round; all of them after the last. */
const checkedBytesPerRound = 64 * 2 ** 20
/** Notes of a write come with its bytes, or soon after. */
const notesMillis = 5000

/** An engine under a load: its agents on both sides, connected, with everything prepared. */
export class EngineLoad implements Contender {
  readonly name: string
  readonly role: Contender["role"]
  readonly about: string
  readonly version: string
  readonly micros: NonNullable<Contender["micros"]>
  readonly #options: EngineLoadOptions
  readonly #note: string | undefined
  readonly #bytes: MovedBytes
  #receipt: BytesReceipt | undefined

  /** Opens all agents, connects them and prepares every transfer. @throws DriverFailed; the agents are the caller's. */
  static async open(options: EngineLoadOptions): Promise<EngineLoad> {
    const { agents } = options
    const opened = await Promise.all(agents.map((agent) => agent.open(openQuestion(options, agent))))
    const word = options.request.op
    checkVersions(options, opened)
    if (!opened.every(({ capabilities }) => capabilities.includes(word)))
      throw new DriverFailed("error", {
        code: "not supported",
        text: `${options.spec.name} does not ${word}`,
        log: "",
      })
    const notes = word === "write" && opened.every(({ capabilities }) => capabilities.includes("notify"))
    // Before anything is lent: where an engine hashes what it lends, it does so then.
    for (const agent of agents) await agent.fillAll(0, receives(agent))
    const started = performance.now()
    await connectAll(options)
    const connect = (performance.now() - started) * 1000
    const prepare = await prepareAll(options, opened, notes ? "landed" : undefined)
    const micros = {
      open: Math.max(...opened.map(({ micros: { open } }) => open)),
      register: Math.max(...opened.map(({ micros: { register } }) => register)),
      connect,
      prepare,
    }
    const engine = new EngineLoad(options, opened[0]!, micros, notes ? "landed" : undefined)
    // Others are opened, and verified, before it is its turn.
    await engine.#awake(() => Promise.resolve())
    return engine
  }

  private constructor(
    options: EngineLoadOptions,
    { about, version }: Answers["open"],
    micros: NonNullable<Contender["micros"]>,
    note: string | undefined,
  ) {
    this.#options = options
    this.#bytes = new MovedBytes(options)
    this.#note = note
    this.micros = micros
    this.name = options.spec.name
    this.role = options.spec.family === "kvferry" ? "kvferry" : "peer"
    this.about = about
    this.version = version
  }

  /** True when its threads may run though nothing is asked of it: then it is stopped while it is not its turn. */
  get sleeps(): boolean {
    return this.role === "peer"
  }

  /** By owner. */
  get agents(): readonly LoadAgent[] {
    return this.#options.agents
  }

  get logs(): Contender["logs"] {
    return this.#options.agents.map((agent) => ({
      name: `${this.name} ${agent.dealt.name}`,
      text: agent.lastWords,
    }))
  }

  async verify(): Promise<void> {
    await this.#awake(async () => {
      const { agents, dealt } = this.#options
      // All was filled when it was opened. The ceiling has moved between the same pages since.
      await this.#bytes.poison(0)
      await this.#polling(async () => {
        await Promise.all(
          [...this.#byPoster()].map(async ([poster, moves]) => {
            for (const { transfer } of moves) await this.#moveOnce(agents[poster]!, transfer)
          }),
        )
        await this.#notesOf(dealt.moves.length)
      })
      await this.#bytes.checkAll()
    })
  }

  async round(round: number, millis: number): Promise<RoundOfContender> {
    return this.#awake(async () => {
      await this.#bytes.refill(round)
      const before = await this.#cpu()
      const results = await this.#polling(async () => {
        const measured = await Promise.all(
          [...this.#byPoster()].map(([poster, moves]) => this.#measure(poster, moves, millis)),
        )
        await this.#notesOf(measured.reduce((sum, { posts }) => sum + posts, 0))
        return measured
      })
      const after = await this.#cpu()
      const { bytes } = this.#options.dealt
      await this.#bytes.look((agent, arrivals) =>
        agent.checkPieces(arrivals, checkedBytesPerRound, round * 7919),
      )
      const posters = results.length
      const bytesPerMicro = results.reduce((sum, one) => sum + one.bytes / timeOf(one.micros, posters), 0)
      return {
        micros: bytes / bytesPerMicro,
        samples: results.flatMap(({ micros }) => micros),
        bytes: results.reduce((sum, one) => sum + one.bytes * one.micros.length, 0),
        cpuMicros: after - before,
      }
    })
  }

  async finish(): Promise<Finished> {
    return this.#awake(async () => {
      const hash = await this.#bytes.checkAll()
      const usages = await Promise.all(this.#options.agents.map((agent) => agent.ask("usage", {})))
      const resident = (side: "prefill" | "decode"): number =>
        usages.reduce(
          (sum, { residentBytes }, i) =>
            this.#options.agents[i]!.dealt.side === side ? sum + residentBytes : sum,
          0,
        )
      return {
        hash,
        residentBytes: { source: resident("prefill"), target: resident("decode") },
        ...(this.#receipt === undefined ? {} : { receipt: this.#receipt }),
      }
    })
  }

  async end(): Promise<void> {
    await Promise.all(this.#options.agents.map((agent) => agent.kill()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#options.agents.map((agent) => agent[Symbol.asyncDispose]()))
  }

  async #measure(poster: number, moves: readonly DealtMove[], millis: number) {
    const { agents, request } = this.#options
    const { micros } = await agents[poster]!.ask(
      "measure",
      {
        transfers: moves.map(({ transfer }) => transfer),
        rounds: 0,
        millis,
        pauseMicros: 0,
        threads: request.threads,
      },
      millis + patienceMillis,
    )
    const bytes = moves.reduce((sum, { plan }) => sum + plan.bytes, 0)
    return { micros, bytes, posts: micros.length * moves.length }
  }

  async #moveOnce(agent: LoadAgent, transfer: number): Promise<void> {
    await agent.ask("post", { transfer, timeoutMillis }, timeoutMillis + patienceMillis)
    const end = performance.now() + 2 * timeoutMillis
    while (true) {
      const { state, error, receipt } = await agent.ask("wait", { transfer, millis: 1000 })
      if (receipt !== undefined) {
        const { sequence: _, ...bytes } = receipt
        this.#receipt = bytes
      }
      if (state === "done") return
      if (state !== "pending" || performance.now() > end) {
        const text = error === undefined ? `a transfer ended as "${state}"` : `${error.code}: ${error.text}`
        throw new DriverFailed(state === "pending" ? "hang" : "error", {
          code: error?.code ?? state,
          text,
          log: agent.lastWords,
        })
      }
    }
  }

  /** Waits for the words that come with writes: an engine's "done" may come before its bytes. */
  async #notesOf(posts: number): Promise<void> {
    if (this.#note === undefined) return
    const targets = this.#options.agents.filter((agent) => receives(agent))
    const end = performance.now() + notesMillis
    for (let heard = 0; heard < posts; ) {
      for (const agent of targets) heard += (await agent.ask("notes", {})).notes.length
      if (heard < posts && performance.now() > end) return
    }
  }

  #byPoster(): ReadonlyMap<number, readonly DealtMove[]> {
    const groups = new Map<number, DealtMove[]>()
    for (const move of this.#options.dealt.moves)
      groups.set(move.poster, [...(groups.get(move.poster) ?? []), move])
    return groups
  }

  async #cpu(): Promise<number> {
    const usages = await Promise.all(this.#options.agents.map((agent) => agent.ask("usage", {})))
    return usages.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0)
  }

  /** Sides that post nothing keep calling their engine meanwhile, where it has no thread of its own. */
  async #polling<T>(action: () => Promise<T>): Promise<T> {
    if (this.role === "kvferry") return action()
    const posters = new Set(this.#byPoster().keys())
    const passive = this.#options.agents.filter(({ dealt }) => !posters.has(dealt.owner))
    await Promise.all(passive.map((agent) => agent.ask("poll", { on: true })))
    try {
      return await action()
    } finally {
      await Promise.allSettled(passive.map((agent) => agent.ask("poll", { on: false })))
    }
  }

  async #awake<T>(action: () => Promise<T>): Promise<T> {
    const { agents } = this.#options
    if (!this.sleeps) return action()
    await Promise.all(agents.map((agent) => agent.resume()))
    try {
      return await action()
    } finally {
      await Promise.all(agents.map((agent) => agent.pause()))
    }
  }
}
