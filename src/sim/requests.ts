import type { Peer } from "../agent/peer.ts"
import { KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout, kvStrides } from "../kv/kv-layout.ts"
import type { IntegrityLevel, TransferReceipt } from "../receipt/receipt.ts"
import {
  fillingsMax,
  fillSequence,
  firstMisplaced,
  isScribbled,
  type Misplaced,
  scribble,
} from "./content.ts"
import type { Life, SimNode } from "./node.ts"
import type { World } from "./world.ts"

/** What a request asks for; times in milliseconds. */
export interface RequestTraits {
  readonly source: SimNode
  readonly target: SimNode
  readonly tokens: number
  readonly integrity: IntegrityLevel
  readonly leaseMillis: number
  readonly timeoutMillis: number
  /** From the loan to the pull: the frontend's part. */
  readonly carryMillis: number
  /** Cancelled so long after its start; never when absent. */
  readonly cancelMillis?: number
}

/** A sequence that was lent: which filling lies in which blocks of which life. */
interface Lent {
  readonly life: Life
  readonly lease: string
  readonly filling: number
}

/** How long after its deadline a ticket may end: fabrics take a while to stop. */
const graceMillis = 10
/** Longest that a claimed lease may outlast its offer: requests end, and their leases with them. */
const heldMillisMost = 5000
/** How long target blocks lie still after the end of their ticket, watched, before they are given back. */
const watchMillis = { least: 1, most: 40 } as const

/** Runs requests from loan to verdict, and holds each against the promises. */
export class Requests {
  readonly ends = new Map<string, number>()
  #open = 0
  #fillings = 0
  readonly #owners: string[] = ["nobody"]
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** Requests that have begun and not ended, on processes that live. */
  get open(): number {
    return this.#open
  }

  /** Begins one. `onEnd` is told how it ended, unless a process dies over it. */
  begin(number: number, traits: RequestTraits, onEnd: (how: string) => void = () => {}): void {
    const name = `r${number}`
    const source = traits.source.life
    if (source === undefined) return onEnd("no source")
    source.process.deliver(() => {
      const lent = this.#lend(name, source, traits)
      if (lent === undefined) return onEnd("no blocks at the source")
      this.#world.timeline.after(traits.carryMillis, () => this.#carry(name, lent, traits, onEnd))
    })
  }

  /** The name of a filling's owner, for messages. */
  ownerOf(filling: number): string {
    return this.#owners[filling] ?? "nobody"
  }

  #newFilling(owner: string): number {
    this.#fillings += 1
    if (this.#fillings >= fillingsMax) throw new Error("a schedule makes fewer fillings than a word can name")
    this.#owners.push(owner)
    return this.#fillings
  }

  #lend(name: string, life: Life, { tokens, leaseMillis }: RequestTraits): Lent | undefined {
    const { pool, agent, process } = life
    const blocks = allocated(life, blocksFor(tokens, pool.layout.blockTokens))
    if (blocks === undefined) return undefined
    const filling = this.#newFilling(`${name}, lent by ${process.name}`)
    fillSequence({ ...pool, blocks, tokens, filling })
    let ended = false
    const began = this.#world.now
    const paused = process.pausedMillis
    const lease = agent.lend({
      blocks,
      tokens,
      lifetimeMillis: leaseMillis,
      onEnd: (why) => {
        if (ended) this.#world.broken("P4", process.name, `the lease of ${name} ended twice`)
        ended = true
        const lasted = this.#world.now - began - (process.pausedMillis - paused)
        if (lasted > leaseMillis + heldMillisMost) {
          this.#world.broken(
            "P7",
            process.name,
            `the lease of ${name} lasted ${lasted} ms, not ${leaseMillis}`,
          )
        }
        this.#world.note(process.name, `lease of ${name} ends: ${why}`)
        // The next owner has no patience.
        pool.allocator.release(blocks)
        scribble({ ...pool, blocks }, this.#newFilling(`the next owner of the blocks of ${name}`))
      },
    })
    this.#world.note(
      process.name,
      `lends ${name}: ${tokens} tokens, filling ${filling}, lease ${lease.slice(0, 8)}`,
    )
    return { life, lease, filling }
  }

  #carry(name: string, lent: Lent, traits: RequestTraits, onEnd: (how: string) => void): void {
    const life = traits.target.life
    if (life === undefined) return onEnd("no target")
    life.process.deliver(() => {
      this.#open += 1
      let over = false
      const leave = (how: string): void => {
        if (over) return
        over = true
        this.#open -= 1
        this.ends.set(how, (this.ends.get(how) ?? 0) + 1)
        this.#world.note(life.process.name, `${name} ends: ${how}`)
        onEnd(how)
      }
      life.process.onDeath(() => leave("its process died"))
      this.#run(name, life, lent, traits).then(leave, (thrown: unknown) => {
        this.#world.broken(
          "alive",
          life.process.name,
          `${name}: ${thrown instanceof Error ? thrown.stack : thrown}`,
        )
        leave("a mistake")
      })
    })
  }

  async #run(name: string, life: Life, lent: Lent, traits: RequestTraits): Promise<string> {
    const { agent, pool, process } = life
    const { tokens, integrity, timeoutMillis, cancelMillis } = traits
    let peer: Peer
    const connected = this.#watch(life, timeoutMillis, `the connect of ${name}`)
    try {
      peer = await agent.connect(traits.source.address, timeoutMillis)
    } catch (thrown) {
      if (thrown instanceof KvError) return `connect: ${thrown.code}`
      throw thrown
    } finally {
      connected()
    }
    const blocks = allocated(life, blocksFor(tokens, pool.layout.blockTokens))
    if (blocks === undefined) return "no blocks at the target"
    scribble({ ...pool, blocks }, this.#newFilling(`${name} before its pull`))
    const ended = this.#watch(life, timeoutMillis, `the ticket of ${name}`)
    const transfer = agent.pull(peer, {
      requestId: name,
      trace: "",
      lease: lent.lease,
      tokens,
      into: blocks,
      integrity,
      timeoutMillis,
    })
    if (cancelMillis !== undefined) process.later(cancelMillis, () => transfer.cancel())
    const receipt = await transfer.receipt
    ended()
    if (receipt.state === "delivered") this.#judge(name, life, lent, traits, blocks, receipt)
    this.#watchBlocks(name, life, blocks)
    return receipt.error === undefined ? receipt.state : `${receipt.state}: ${receipt.error.code}`
  }

  /** What a delivered ticket promises. */
  #judge(
    name: string,
    life: Life,
    lent: Lent,
    traits: RequestTraits,
    blocks: Uint32Array,
    receipt: TransferReceipt,
  ): void {
    const { pool, process } = life
    const sourceLayout = lent.life.pool.layout
    // A fabric that lied about bytes can be convicted by hashes only.
    if (!life.lied || traits.integrity === "full") {
      const wrong = firstMisplaced({ ...pool, blocks, tokens: traits.tokens, filling: lent.filling })
      if (wrong !== undefined) this.#convict(name, process.name, lent, wrong, sourceLayout)
    }
    const wanted = bestPath(traits.target, traits.source)
    if (receipt.path.transport !== wanted) {
      this.#world.broken("P3", process.name, `${name} went over ${receipt.path.transport}, not ${wanted}`)
    }
    const { shape, heads } = pool.layout
    const bytes = traits.tokens * shape.layers * 2 * heads * shape.headDim * shape.elementBytes
    const carried = receipt.path.rails.reduce((sum, rail) => sum + rail.bytes, 0)
    if (receipt.bytes !== bytes || carried !== bytes) {
      this.#world.broken(
        "P5",
        process.name,
        `the receipt of ${name} tells ${receipt.bytes} and ${carried} bytes of ${bytes}`,
      )
    }
    if (traits.integrity === "full" && receipt.integrity.verdict !== "identical") {
      this.#world.broken(
        "P1",
        process.name,
        `${name} is delivered, its verdict is ${receipt.integrity.verdict}`,
      )
    }
  }

  #convict(name: string, who: string, lent: Lent, wrong: Misplaced, source: KvLayout): void {
    const { layer, token, plane, head, byte, found } = wrong
    const place = `layer ${layer}, token ${token}, plane ${plane}, head ${head}, byte ${byte}`
    const known = found.filling > 0 && found.filling <= this.#fillings
    const foreign = known && found.filling !== lent.filling
    const seen = known ? `those of ${this.ownerOf(found.filling)}` : "nobody's"
    const what = `${name} was delivered with wrong bytes at ${place} (source ${source.order}): they are ${seen}`
    this.#world.broken(foreign ? "P4" : "P1", who, what)
  }

  /** Nothing may be written into the blocks of a ticket that has ended. */
  #watchBlocks(name: string, life: Life, blocks: Uint32Array): void {
    const { pool, process } = life
    const filling = this.#newFilling(`${process.name} after the end of ${name}`)
    scribble({ ...pool, blocks }, filling)
    const { block } = kvStrides(pool.layout)
    const guards = life.layers.flatMap((mapping) =>
      [...blocks].map((id) => mapping.guard(id * block, block, `the ticket of ${name} had ended`)),
    )
    process.later(this.#world.random.workload.millis(watchMillis.least, watchMillis.most), () => {
      for (const drop of guards) drop()
      if (!isScribbled({ ...pool, blocks }, filling)) {
        this.#world.broken("P2", process.name, `the blocks of ${name} were written after its end`)
      }
      pool.allocator.release(blocks)
    })
  }

  /** Says so when something has not ended in its time. A paused process is given the time that it was paused. */
  #watch({ process }: Life, millis: number, what: string): () => void {
    const since = this.#world.now
    let over = false
    const look = (wait: number, pausedBefore: number): void => {
      this.#world.timeline.after(wait, () => {
        if (over || process.state === "dead") return
        const more = process.pausedMillis - pausedBefore
        if (process.state === "paused" || more > 0) return look(more + graceMillis, process.pausedMillis)
        const lasted = Math.round(this.#world.now - since)
        this.#world.broken("P2", process.name, `${what} has not ended after ${lasted} ms of ${millis}`)
      })
    }
    look(millis + graceMillis, process.pausedMillis)
    return () => {
      over = true
    }
  }
}

/** The first path of the target's policy that the source offers too and that reaches it. */
function bestPath(target: SimNode, source: SimNode): string | undefined {
  const common = target.traits.paths.filter((path) => source.traits.paths.includes(path))
  return common.find((path) => path !== "mapped" || target.traits.host === source.traits.host)
}

/** Blocks of a pool, or undefined when it has not so many. */
function allocated({ pool }: Life, count: number): Uint32Array | undefined {
  try {
    return pool.allocator.allocate(count)
  } catch (thrown) {
    if (thrown instanceof KvError && thrown.code === "KV_POOL_EXHAUSTED") return undefined
    throw thrown
  }
}
