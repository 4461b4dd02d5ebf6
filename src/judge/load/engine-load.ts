import { quantileOf } from "../../bench/statistics.ts"
import { encodePieces } from "../driver/columns.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { Answers, EngineReceipt, Questions } from "../driver/protocol.ts"
import type { EngineSpec } from "../engine-spec.ts"
import { type Contender, type Finished, type RoundOfContender, WrongBytes } from "./contender.ts"
import type { DealtLoad, DealtMove } from "./deal-load.ts"
import type { Arrival, Checked, Places } from "./judged-memory.ts"
import type { LoadAgent } from "./load-agent.ts"
import type { LoadRequest } from "./load-request.ts"

/** Beside what it was asked to last: a machine that swaps, a peer that is slow. */
const patienceMillis = 60_000
/** A transfer that takes longer has failed. */
const timeoutMillis = 30_000
/** Bytes that are looked at after each round; all of them after the last. */
const checkedBytesPerRound = 64 * 2 ** 20
/** Notes of a write come with its bytes, or soon after. */
const notesMillis = 5000

export interface EngineLoadOptions {
  readonly spec: EngineSpec
  readonly request: LoadRequest
  readonly dealt: DealtLoad
  /** By owner; their drivers have started. */
  readonly agents: readonly LoadAgent[]
  /** The address that an agent listens on and tells its peers. */
  readonly hostOf: (agent: LoadAgent) => string
}

/** An engine under a load: its agents on both sides, connected, with everything prepared. */
export class EngineLoad implements Contender {
  readonly name: string
  readonly role: Contender["role"]
  readonly about: string
  readonly version: string
  readonly micros: NonNullable<Contender["micros"]>
  readonly #options: EngineLoadOptions
  readonly #note: string | undefined
  #epoch = 0
  #receipt: EngineReceipt | undefined

  /** Opens all agents, connects them and prepares every transfer. @throws DriverFailed; the agents are the caller's. */
  static async open(options: EngineLoadOptions): Promise<EngineLoad> {
    const { agents } = options
    const opened = await Promise.all(agents.map((agent) => agent.open(openQuestion(options, agent))))
    const word = options.request.op
    if (!opened.every(({ capabilities }) => capabilities.includes(word)))
      throw new DriverFailed("error", {
        code: "not supported",
        text: `${options.spec.name} does not ${word}`,
        log: "",
      })
    const notes = word === "write" && opened.every(({ capabilities }) => capabilities.includes("notify"))
    // Before anything is lent: where an engine hashes what it lends, it does so then.
    for (const agent of agents) await agent.fillAll(0, agent.dealt.side === "decode")
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
    return new EngineLoad(options, opened[0]!, micros, notes ? "landed" : undefined)
  }

  private constructor(
    options: EngineLoadOptions,
    { about, version }: Answers["open"],
    micros: NonNullable<Contender["micros"]>,
    note: string | undefined,
  ) {
    this.#options = options
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
      for (const agent of agents) await agent.fillAll(0, this.#receives(agent))
      await this.#polling(async () => {
        await Promise.all(
          [...this.#byPoster()].map(async ([poster, moves]) => {
            for (const { transfer } of moves) await this.#moveOnce(agents[poster]!, transfer)
          }),
        )
        await this.#notesOf(dealt.moves.length)
      })
      await this.#checkAll()
    })
  }

  async round(round: number, millis: number): Promise<RoundOfContender> {
    return this.#awake(async () => {
      await this.#refill(round)
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
      await this.#look((agent, arrivals) => agent.checkPieces(arrivals, checkedBytesPerRound, round * 7919))
      const bytesPerMicro = results.reduce((sum, one) => sum + one.bytes / quantileOf(one.micros, 0.5), 0)
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
      const hash = await this.#checkAll()
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

  /** New words at the source, where the engine lets them change under a lease, and poison where they shall land. */
  async #refill(round: number): Promise<void> {
    const { agents, request, dealt } = this.#options
    if (bytesMayChange(request)) {
      this.#epoch = (round + 1) % 256
      for (const agent of agents) {
        const from = dealt.moves.filter(({ source }) => source === agent.dealt.owner)
        for (const { plan } of from) await agent.fill(placesOf(plan, "source"), this.#epoch, false)
      }
    }
    for (const agent of agents) {
      const into = dealt.moves.filter(({ target }) => target === agent.dealt.owner)
      for (const { plan } of into) await agent.fill(placesOf(plan, "target"), (round + 1) % 256, true)
    }
  }

  async #moveOnce(agent: LoadAgent, transfer: number): Promise<void> {
    await agent.ask("post", { transfer, timeoutMillis }, timeoutMillis + patienceMillis)
    const end = performance.now() + 2 * timeoutMillis
    while (true) {
      const { state, error, receipt } = await agent.ask("wait", { transfer, millis: 1000 })
      this.#receipt = receipt ?? this.#receipt
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
    const targets = this.#options.agents.filter((agent) => this.#receives(agent))
    const end = performance.now() + notesMillis
    for (let heard = 0; heard < posts; ) {
      for (const agent of targets) heard += (await agent.ask("notes", {})).notes.length
      if (heard < posts && performance.now() > end) return
    }
  }

  async #checkAll(): Promise<string> {
    const hashes = await this.#look((agent, arrivals) => agent.checkAll(arrivals))
    for (const agent of this.#options.agents) {
      if (this.#receives(agent) || this.#epoch !== 0) continue
      right(agent, await agent.checkSource(0))
    }
    return hashes.join(" ")
  }

  /** Looks at every agent that received something. @throws WrongBytes. */
  async #look(
    check: (agent: LoadAgent, arrivals: readonly Arrival[]) => Promise<Checked>,
  ): Promise<string[]> {
    const hashes: string[] = []
    for (const agent of this.#options.agents) {
      const arrivals = this.#options.dealt.moves
        .filter(({ target }) => target === agent.dealt.owner)
        .map(({ source, plan }) => ({ owner: source, epoch: this.#epoch, plan }))
      if (arrivals.length > 0) hashes.push(right(agent, await check(agent, arrivals)).hash)
    }
    return hashes
  }

  #receives(agent: LoadAgent): boolean {
    return agent.dealt.side === "decode"
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

function openQuestion({ spec, request, hostOf }: EngineLoadOptions, agent: LoadAgent): Questions["open"] {
  const own = spec.family === "kvferry"
  const { paths, integrity, op } = request
  return {
    name: agent.dealt.name,
    // A lease for writing ends with its first write: repeats are measured at the fabric itself.
    level: op === "write" ? "pieces" : "blocks",
    cache: agent.dealt.cache,
    ...(spec.path === undefined ? {} : { path: spec.path }),
    options: {
      host: hostOf(agent),
      ...(own ? { integrity } : {}),
      ...(own && spec.path === undefined && paths !== undefined ? { paths: paths.join(",") } : {}),
    },
  }
}

/** Every agent that posts learns of those that it posts to. */
async function connectAll({ agents, dealt }: EngineLoadOptions): Promise<void> {
  const known = new Set<string>()
  for (const move of dealt.moves) {
    const [poster, peer] = ends(move).map((owner) => agents[owner]!) as [LoadAgent, LoadAgent]
    const key = `${poster.dealt.name} ${peer.dealt.name}`
    if (known.has(key)) continue
    known.add(key)
    const { card } = await peer.ask("invite", { peer: poster.dealt.name })
    await poster.ask("connect", { peer: peer.dealt.name, card }, patienceMillis)
  }
}

/** Lends and prepares every transfer. Returns how long the engine took, in microseconds. */
async function prepareAll(
  { agents, dealt, request }: EngineLoadOptions,
  opened: readonly Answers["open"][],
  note: string | undefined,
): Promise<number> {
  let total = 0
  for (const move of dealt.moves) {
    const [poster, peer] = ends(move)
    const { plan, transfer, tokens } = move
    const read = request.op === "read"
    const [theirs, ours] = read
      ? [move.sourceBlocks, move.targetBlocks]
      : [move.targetBlocks, move.sourceBlocks]
    const lends = opened[peer]!.capabilities.includes("blocks")
    const { offer } = lends
      ? await agents[peer]!.ask("lend", { blocks: theirs, tokens, access: request.op })
      : { offer: "" }
    const pieces = {
      localRegion: read ? plan.targetRegion : plan.sourceRegion,
      localOffset: read ? plan.targetOffset : plan.sourceOffset,
      remoteRegion: read ? plan.sourceRegion : plan.targetRegion,
      remoteOffset: read ? plan.sourceOffset : plan.targetOffset,
      length: plan.length,
    }
    const { micros } = await agents[poster]!.ask(
      "prepare",
      {
        transfer,
        peer: agents[peer]!.dealt.name,
        direction: request.op,
        pieces: encodePieces(pieces),
        sequence: { offer, blocks: ours, tokens },
        integrity: request.integrity,
        ...(note === undefined ? {} : { note }),
      },
      patienceMillis,
    )
    total += micros
  }
  return total
}

/** The one that posts, and the other one. */
const ends = ({ poster, source, target }: DealtMove): [number, number] => [
  poster,
  poster === source ? target : source,
]

function placesOf(plan: DealtMove["plan"], side: "source" | "target"): Places {
  return side === "source"
    ? { region: plan.sourceRegion, offset: plan.sourceOffset, length: plan.length }
    : { region: plan.targetRegion, offset: plan.targetOffset, length: plan.length }
}

function right(agent: LoadAgent, checked: Checked): Checked {
  if (checked.wrong !== undefined) throw new WrongBytes(agent.dealt.name, checked.wrong)
  return checked
}

/** Hashes of a lease are made once: where they are compared, its bytes must stay what they are, for everybody. */
export const bytesMayChange = ({ integrity }: LoadRequest): boolean =>
  integrity === "none" || integrity === "epoch"
