import type { MemorySpan } from "../../memory/host-memory.ts"
import { CeilingLibrary, type CeilingPieces, type CeilingStreams } from "../../os/ceiling-library.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type { BenchPool } from "./pool.ts"
import type { Repeats, Timed } from "./timed.ts"

const wakePageBytes = 4096

/** Where the source's memory is, for ceilings that run in the target's process. */
export interface CeilingOffer {
  readonly pid: number
  /** Descriptors of the source's memory files, if it has such. */
  readonly files: readonly number[]
  /** Addresses of its regions, for the kernel to read. */
  readonly addresses: readonly number[]
  readonly wakeFile: number
  /** Ports of plain streams, by their number. */
  readonly ports: readonly { readonly streams: number; readonly port: number }[]
}

/** The C ceilings in one process of the benchmark: the same pieces, the same pages. */
export class CeilingWays {
  readonly #library: CeilingLibrary
  readonly #pool: BenchPool
  readonly #plans: readonly TransferPlan[]
  readonly #streams = new Map<number, CeilingStreams>()
  readonly #pieces = new Map<string, CeilingPieces>()
  #offer: CeilingOffer | undefined
  #mapped: readonly MemorySpan[] = []
  #page: MemorySpan | undefined

  constructor(file: string, pool: BenchPool, plans: readonly TransferPlan[]) {
    this.#library = new CeilingLibrary(file)
    this.#pool = pool
    this.#plans = plans
  }

  offer(streams: readonly number[]): CeilingOffer {
    const page = hostMemory.map(wakePageBytes, "wake")
    this.#page = page
    this.#library.serveWake(page)
    const { files, spans } = this.#pool
    const addresses = spans.map((span) => span.addressOf(0, span.byteLength))
    const ports = streams.map((count) => ({ streams: count, port: this.#open(count, "source").listen() }))
    return { pid: process.pid, files, addresses, wakeFile: page.fd, ports }
  }

  reach(offer: CeilingOffer): void {
    this.#offer = offer
    this.#page = this.#library.map(`/proc/${offer.pid}/fd/${offer.wakeFile}`, wakePageBytes, "write")
    this.#mapped = offer.files.map((fd, region) =>
      this.#library.map(`/proc/${offer.pid}/fd/${fd}`, this.#pool.spans[region]!.byteLength, "read"),
    )
    for (const { streams, port } of offer.ports) this.#open(streams, "target").connect(port)
  }

  /** Copies out of the source's memory files, which this process maps. */
  copy(job: number, threads: number, times: Repeats): Timed {
    const pieces = this.#piecesOf(`copy ${job}`, job, (region, offset, length) =>
      this.#mapped[region]!.addressOf(offset, length),
    )
    return { micros: this.#library.copy(pieces, threads, times) }
  }

  /** Lets the kernel copy out of the source's process. */
  vmRead(job: number, threads: number, times: Repeats): Timed {
    const { pid, addresses } = this.#offer!
    const pieces = this.#piecesOf(`read ${job}`, job, (region, offset) => addresses[region]! + offset)
    return { micros: this.#library.vmRead(pid, pieces, threads, times) }
  }

  stream(job: number, streams: number, spin: boolean, times: Repeats): Timed {
    return { micros: this.#streams.get(streams)!.read(job, spin, times) }
  }

  wake(spin: boolean, times: Repeats): Timed {
    return { micros: this.#library.wake(this.#page!, spin, times) }
  }

  #piecesOf(
    key: string,
    job: number,
    sourceAddress: (region: number, offset: number, length: number) => number,
  ): CeilingPieces {
    const known = this.#pieces.get(key)
    if (known !== undefined) return known
    const plan = this.#plans[job]!
    const each = Array.from({ length: plan.pieces }, (_, i) => i)
    const pieces = this.#library.pieces({
      sourceAddress: Float64Array.from(each, (i) =>
        sourceAddress(plan.sourceRegion[i]!, plan.sourceOffset[i]!, plan.length[i]!),
      ),
      targetAddress: Float64Array.from(each, (i) =>
        this.#pool.spans[plan.targetRegion[i]!]!.addressOf(plan.targetOffset[i]!, plan.length[i]!),
      ),
      length: plan.length,
    })
    this.#pieces.set(key, pieces)
    return pieces
  }

  /** Every job's pieces, dealt over the streams as kvferry deals them over its rails. */
  #open(count: number, side: "source" | "target"): CeilingStreams {
    const streams = this.#library.streams(count, this.#plans.length)
    for (const [job, plan] of this.#plans.entries()) {
      const dealt = stripe(plan, count)
      const regions = side === "source" ? dealt.sourceRegion : dealt.targetRegion
      const offsets = side === "source" ? dealt.sourceOffset : dealt.targetOffset
      for (let stream = 0; stream < count; stream++) {
        const mine = [...dealt.rail.keys()].filter((i) => dealt.rail[i] === stream)
        const { spans } = this.#pool
        const address = Float64Array.from(mine, (i) =>
          spans[regions[i]!]!.addressOf(offsets[i]!, dealt.length[i]!),
        )
        streams.place(
          stream,
          job,
          address,
          Uint32Array.from(mine, (i) => dealt.length[i]!),
        )
      }
    }
    this.#streams.set(count, streams)
    return streams
  }
}
