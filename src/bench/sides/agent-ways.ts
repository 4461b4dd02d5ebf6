import { randomBytes } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { type Agent, openAgent } from "../../agent/agent.ts"
import type { PreparedAttach } from "../../agent/attach.ts"
import type { HeldLease } from "../../agent/held-lease.ts"
import type { PreparedRead } from "../../agent/prepared-read.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { epochBytes } from "../../memory/kv-pool.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { monotonicClock } from "../../os/clock.ts"
import { tcpControlNetwork } from "../../os/control-net.ts"
import { hostMemory } from "../../os/host-memory.ts"
import type { IntegrityLevel } from "../../receipt/receipt.ts"
import { softwareVersion } from "../../serve/version.ts"
import type { Rights } from "../../transport/transport.ts"
import { type Job, jobBlocks, type PoolShape, poolLayout } from "../job.ts"
import { fabricOf, host, type Lane, laneText, readers, writers } from "./lanes.ts"
import type { Repeats, Timed } from "./timed.ts"

/** An offer or a ticket that takes this long is stuck. */
const patienceMillis = 600_000
/** Longer than a side is ever held up by hashing its whole pool: a lease must not end in the middle of a job. */
const holdMillis = 60_000

/** How the target reaches an agent of the source, and what is lent there. */
export interface AgentOffer {
  readonly lane: Lane
  readonly job: Job
  readonly address: string
  readonly secret: Uint8Array
  readonly leases: readonly string[]
}

interface Reached {
  readonly agent: Agent
  /** What is held, and where it lands. */
  readonly sequences: readonly { readonly lease: HeldLease; readonly into: Uint32Array }[]
}

/**
 * What an application uses, over the same pools: agents that lend, claim, read and attach. One for each lane and job,
 * because an agent has one layout and one path.
 */
export class AgentWays {
  readonly #shape: PoolShape
  readonly #spans: readonly MemorySpan[]
  readonly #reached = new Map<string, Reached>()
  readonly #reads = new Map<string, PreparedRead>()
  readonly #attachments = new Map<string, PreparedAttach>()

  constructor(shape: PoolShape, spans: readonly MemorySpan[]) {
    this.#shape = shape
    this.#spans = spans
  }

  /** Opens an agent on the side that has the bytes, and lends each of `sequences`: its blocks. */
  async offer(lane: Lane, job: Job, sequences: readonly Uint32Array[]): Promise<AgentOffer> {
    const secret = randomBytes(32)
    const agent = await this.#open(lane, job, secret, readers)
    const { port } = await agent.listen(host, 0)
    const { blockTokens } = poolLayout(this.#shape, job.pieceBytes)
    const leases = sequences.map((blocks) =>
      agent.lend({
        blocks,
        tokens: blocks.length * blockTokens,
        lifetimeMillis: patienceMillis,
        onEnd: () => {},
      }),
    )
    return { lane, job, address: `${host}:${port}`, secret, leases }
  }

  /**
   * Opens an agent on the side that wants the bytes, connects it, and claims all that was lent. Sequences land one behind
   * the other in the job's target blocks.
   */
  async reach({ lane, job, address, secret, leases }: AgentOffer): Promise<void> {
    const agent = await this.#open(lane, job, secret, writers)
    const peer = await agent.connect(address, patienceMillis)
    const { targets } = jobBlocks(job, this.#shape)
    const sequences: { lease: HeldLease; into: Uint32Array }[] = []
    let next = 0
    for (const id of leases) {
      const lease = await agent.claim(peer, id, { deadline: performance.now() + patienceMillis })
      const from = next
      next += lease.granted.blocks.length
      sequences.push({ lease, into: targets.slice(from, next) })
    }
    this.#reached.set(wayKey(lane, job), { agent, sequences })
  }

  /** Posts a prepared read as a ticket, as often as told. */
  async read(lane: Lane, job: Job, level: IntegrityLevel, times: Repeats): Promise<Timed> {
    const key = `${wayKey(lane, job)} ${level}`
    const read = this.#reads.get(key) ?? this.#prepare(lane, job, level, 0)
    this.#reads.set(key, read)
    return repeated(times, async () => {
      await read.post({ timeoutMillis: patienceMillis }).done
    })
  }

  /** Attaches a sequence and releases it, as often as told: the whole life of a ticket that copies nothing. */
  async attach(
    lane: Lane,
    job: Job,
    sequence: number,
    level: IntegrityLevel,
    times: Repeats,
  ): Promise<Timed> {
    const prepared = await this.#attachment(lane, job, sequence, level)
    return repeated(times, async () => {
      const attachment = await prepared.attach({ timeoutMillis: patienceMillis })
      await attachment.release()
      await attachment.ticket.done
    })
  }

  /** Where the attached blocks lie in this process: one span for each layer. */
  async attachedSpans(lane: Lane, job: Job, level: IntegrityLevel): Promise<readonly MemorySpan[]> {
    return (await this.#attachment(lane, job, 0, level)).sequence.spans
  }

  /** Posts the first `count` sequences as tickets, all at once. Returns the time until all were delivered. */
  async crowd(lane: Lane, job: Job, level: IntegrityLevel, count: number, times: Repeats): Promise<Timed> {
    const reads = Array.from({ length: count }, (_, i) => this.#prepare(lane, job, level, i))
    const timed = await repeated(times, async () => {
      await Promise.all(reads.map((read) => read.post({ timeoutMillis: patienceMillis }).done))
    })
    for (const read of reads) await read[Symbol.asyncDispose]()
    return timed
  }

  /** What it takes to turn a held lease and a list of blocks into a read that can be posted. */
  async prepareMicros(lane: Lane, job: Job, level: IntegrityLevel): Promise<number> {
    const started = performance.now()
    const read = this.#prepare(lane, job, level, 0)
    const micros = (performance.now() - started) * 1000
    await read[Symbol.asyncDispose]()
    return micros
  }

  #prepare(lane: Lane, job: Job, level: IntegrityLevel, sequence: number): PreparedRead {
    const { agent, sequences } = this.#way(lane, job)
    return agent.prepareRead({ ...sequences[sequence]!, integrity: level })
  }

  async #attachment(lane: Lane, job: Job, sequence: number, level: IntegrityLevel): Promise<PreparedAttach> {
    const key = `${wayKey(lane, job)} ${sequence} ${level}`
    const { agent, sequences } = this.#way(lane, job)
    const { lease } = sequences[sequence]!
    const prepared = this.#attachments.get(key) ?? (await agent.prepareAttach(lease, level))
    this.#attachments.set(key, prepared)
    return prepared
  }

  #way(lane: Lane, job: Job): Reached {
    const way = this.#reached.get(wayKey(lane, job))
    if (way === undefined) throw new Error(`no agent was reached over ${wayKey(lane, job)}`)
    return way
  }

  async #open(lane: Lane, job: Job, secret: Uint8Array, offers: Rights): Promise<Agent> {
    const crew = await openCrew({ threads: lane.width })
    const layout = poolLayout({ ...this.#shape, layers: job.layers }, job.pieceBytes)
    const bootId = randomBytes(16).toString("hex")
    return openAgent({
      party: { pid: process.pid, agentId: `bench-${bootId.slice(0, 6)}`, bootId },
      software: softwareVersion(),
      model: "bench",
      credentials: { secret },
      layout,
      spans: this.#spans.slice(0, job.layers),
      epochs: hostMemory.map(layout.blocks * epochBytes, "epochs", { populate: true }),
      endpoints: [await fabricOf(lane).open(lane.width, crew)],
      network: tcpControlNetwork,
      clock: monotonicClock,
      memory: hostMemory,
      hasher: crew,
      // Each read says its own. What is lent is sealed when a level first asks for it: in the round that warms up.
      integrity: "epoch",
      offers,
      times: { holdMillis },
    })
  }
}

async function repeated({ repeats, pauseMicros }: Repeats, once: () => Promise<void>): Promise<Timed> {
  const micros: number[] = []
  for (let i = 0; i < repeats; i++) {
    if (pauseMicros > 0) await sleep(pauseMicros / 1000)
    const started = performance.now()
    await once()
    micros.push((performance.now() - started) * 1000)
  }
  return { micros }
}

const wayKey = (lane: Lane, { name }: Job): string => `${laneText(lane)} for ${name}`
