import { setTimeout as sleep } from "node:timers/promises"
import type { Level } from "../driver/protocol.ts"
import { differencesBetween } from "../pattern/differences.ts"
import { explain, type WrongRegion } from "../pattern/explain.ts"
import type { Pattern } from "../pattern/pattern.ts"
import { CaseFailed } from "./case-failed.ts"
import type { JudgedAgent } from "./judged-agent.ts"
import type { Piece, SequenceTables } from "./pieces.ts"
import { sequencePieces } from "./pieces.ts"
import { Transfer, type TransferOptions } from "./transfer.ts"

/** How long after a check failed it is looked again whether the bytes have come meanwhile. */
const lateMillis = 150

/** Some agents under judgement, each in its own process, and all that they do to each other. */
export class Scene implements AsyncDisposable {
  readonly pattern: Pattern
  readonly level: Level
  /** Bytes that were compared so far. */
  bytesChecked = 0
  readonly #agents: JudgedAgent[]
  readonly #connected = new Set<string>()

  constructor(pattern: Pattern, agents: readonly JudgedAgent[], level: Level) {
    this.pattern = pattern
    this.level = level
    this.#agents = [...agents]
  }

  get agents(): readonly JudgedAgent[] {
    return this.#agents
  }

  get alive(): boolean {
    return this.agents.every(({ driver }) => driver.alive)
  }

  agent(name: string): JudgedAgent {
    return this.agents.find((one) => one.name === name)!
  }

  /** Blocks get another owner at their agent, who writes into them: said first, as an engine must. */
  async reuse(agent: JudgedAgent, blocks: readonly number[]): Promise<void> {
    if (this.level === "blocks") await agent.driver.ask("reuse", { blocks })
    agent.fillBlocks(blocks)
  }

  /** All memory of an agent begins anew: a pattern of another epoch, or poison. */
  async renew(agent: JudgedAgent, holds: "pattern" | "poison"): Promise<void> {
    const blocks = Array.from({ length: agent.cache.blocks }, (_, block) => block)
    if (this.level === "blocks") await agent.driver.ask("reuse", { blocks })
    if (holds === "pattern") agent.fillAll()
    else agent.poison()
  }

  /** Puts an agent in the place of one of the same name, whose process has ended. */
  async replace(agent: JudgedAgent): Promise<void> {
    const before = this.agent(agent.name)
    this.#agents[this.#agents.indexOf(before)] = agent
    this.forget(before)
    await before.driver[Symbol.asyncDispose]()
  }

  /** Connections of an agent have ended: the next transfer makes new ones. */
  forget({ owner }: JudgedAgent): void {
    for (const pair of this.#connected) if (pair.split(" ").includes(`${owner}`)) this.#connected.delete(pair)
  }

  /** Makes the agent that will post know its peer. Once for each pair, unless it was `forgotten`. */
  async connect(poster: JudgedAgent, peer: JudgedAgent): Promise<void> {
    const pair = `${poster.owner} ${peer.owner}`
    if (this.#connected.has(pair)) return
    const { card } = await peer.driver.ask("invite", { peer: poster.name })
    await poster.driver.ask("connect", { peer: peer.name, card }, { millis: 30_000 })
    this.#connected.add(pair)
  }

  /** Prepares a transfer of pieces. */
  async prepare(
    from: JudgedAgent,
    to: JudgedAgent,
    pieces: readonly Piece[],
    options: TransferOptions,
  ): Promise<Transfer> {
    const poster = options.direction === "read" ? to : from
    await this.connect(poster, poster === to ? from : to)
    return await Transfer.prepare(from, to, pieces, options)
  }

  /** Prepares the transfer of a sequence: lends its blocks, and gives an engine the block tables and the pieces. */
  async prepareSequence(
    from: JudgedAgent,
    to: JudgedAgent,
    tables: SequenceTables,
    options: TransferOptions,
  ): Promise<Transfer> {
    const reads = options.direction === "read"
    const [poster, peer] = reads ? [to, from] : [from, to]
    await this.connect(poster, peer)
    const { tokens, sourceBlocks, targetBlocks } = tables
    const lent = reads ? sourceBlocks : targetBlocks
    const { offer } = await peer.driver.ask("lend", { blocks: lent, tokens, access: options.direction })
    const sequence = { offer, blocks: reads ? targetBlocks : sourceBlocks, tokens }
    const pieces = sequencePieces(from.cache, to.cache, tables)
    return await Transfer.prepare(from, to, pieces, { ...options, sequence })
  }

  /**
   * Compares every byte of every agent's memory with what it must be.
   * @throws CaseFailed with the explanation.
   */
  async check(agents: readonly JudgedAgent[] = this.agents): Promise<void> {
    // Targets first: what has been called done is looked at before it can come late.
    const received = ({ runs }: JudgedAgent): number => (runs.some((list) => list.length > 0) ? 0 : 1)
    const wrong = this.#wrongRegions(agents.toSorted((one, other) => received(one) - received(other)))
    if (wrong.length === 0) return
    await sleep(lateMillis)
    const explanation = explain(this.pattern, this.agents, wrong, this.#runs(), this.#targets())
    const late = wrong.every(
      ({ owner, region, expected }) =>
        differencesBetween(expected, this.agents[owner]!.memory(region)) === undefined,
    )
    const { first } = explanation
    const agent = this.agent(first.agent)
    const offset = first.block * agent.blockBytes
    const region = wrong.find(({ owner, region }) => owner === agent.owner && region === first.layer)!
    throw new CaseFailed(
      { kind: "wrong-bytes", ...explanation, ...(late ? lateFinding(explanation.text) : {}) },
      {
        agent: first.agent,
        layer: first.layer,
        block: first.block,
        offset,
        expected: region.expected.slice(offset, offset + agent.blockBytes),
        found: region.found.slice(offset, offset + agent.blockBytes),
      },
    )
  }

  /** What is wrong now; the bytes are copied at once, for they may still change. */
  #wrongRegions(agents: readonly JudgedAgent[]): WrongRegion[] {
    const wrong: WrongRegion[] = []
    for (const agent of agents) {
      for (const [region, expected] of agent.expected.entries()) {
        const memory = agent.memory(region)
        this.bytesChecked += expected.byteLength
        const firstLook = differencesBetween(expected, memory)
        if (firstLook === undefined) continue
        const found = memory.slice()
        // Right at the second look: what was seen at the first one is told, and that it was late.
        const differences = differencesBetween(expected, found) ?? firstLook
        const runs = agent.runs[region]!
        wrong.push({ owner: agent.owner, region, expected: expected.slice(), found, runs, differences })
      }
    }
    return wrong
  }

  #targets() {
    return new Set(this.agents.flatMap(({ owner, isTarget }) => (isTarget ? [owner] : [])))
  }

  #runs() {
    return new Map(this.agents.map(({ owner, runs }) => [owner, runs] as const))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.agents.map(({ driver }) => driver[Symbol.asyncDispose]()))
  }
}

function lateFinding(text: string) {
  const when = `${lateMillis} ms later all was right: the transfer had been called done before its bytes were there.`
  return { cause: "late", text: `${text} ${when}` }
}
