import { once } from "node:events"
import type { Worker } from "node:worker_threads"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { startThread } from "../../os/worker-thread.ts"
import { stripe } from "../../plan/stripe.ts"
import type { TransferPlan } from "../../plan/transfer-plan.ts"
import type { CeilingEvent, CeilingOrder, CeilingStart, Places } from "./ceiling-messages.ts"

/**
 * One side of the ceiling: a plain loop of `sendmsg` and `recvmsg`, one blocking thread for each stream.
 *
 * It moves the very bytes of a plan between the very same memory, cut over the streams as the plan's rails are.
 */
export class Ceiling {
  /** Ports that senders listen on. */
  readonly ports: readonly number[]
  readonly #threads: readonly Worker[]
  readonly #jobs: readonly (readonly (Places | undefined)[])[]

  /** The side whose bytes go; its threads wait in native calls until their process ends. */
  static async send(
    plans: readonly TransferPlan[],
    spans: readonly MemorySpan[],
    streams: number,
  ): Promise<Ceiling> {
    return Ceiling.#open("sender", plans, spans, Array<number>(streams).fill(0))
  }

  /** The side whose memory is filled; `ports` are the sender's. */
  static async receive(
    plans: readonly TransferPlan[],
    spans: readonly MemorySpan[],
    ports: readonly number[],
  ): Promise<Ceiling> {
    return Ceiling.#open("receiver", plans, spans, ports)
  }

  static async #open(
    role: CeilingStart["role"],
    plans: readonly TransferPlan[],
    spans: readonly MemorySpan[],
    ports: readonly number[],
  ): Promise<Ceiling> {
    const jobs = plans.map((plan) => placesByStream(plan, spans, role, ports.length))
    const threads = await Promise.all(
      ports.map((port, stream) => readyThread({ role, port, jobs: jobs.map((job) => job[stream]) })),
    )
    return new Ceiling(threads, jobs)
  }

  private constructor(
    threads: readonly { readonly worker: Worker; readonly port: number }[],
    jobs: readonly (readonly (Places | undefined)[])[],
  ) {
    this.#threads = threads.map(({ worker }) => worker)
    this.ports = threads.map(({ port }) => port)
    this.#jobs = jobs
  }

  /** Runs job `job` on the receiving side. Returns the time of each repeat: first byte asked for to last byte here. */
  async run({ job, repeats }: CeilingOrder): Promise<number[]> {
    const busy = this.#threads.filter((_, stream) => this.#jobs[job]![stream] !== undefined)
    const answers = busy.map(async (worker): Promise<Extract<CeilingEvent, { type: "moved" }>> => {
      worker.postMessage({ job, repeats } satisfies CeilingOrder)
      const [event] = (await once(worker, "message")) as [CeilingEvent]
      if (event.type !== "moved") throw new Error(`a ceiling thread said ${event.type}`)
      return event
    })
    const parts = await Promise.all(answers)
    return Array.from({ length: repeats }, (_, i) => {
      const start = Math.min(...parts.map(({ startMicros }) => startMicros[i]!))
      return Math.max(...parts.map(({ endMicros }) => endMicros[i]!)) - start
    })
  }
}

async function readyThread(start: CeilingStart): Promise<{ worker: Worker; port: number }> {
  const worker = startThread(new URL("./ceiling-thread.js", import.meta.url), start)
  // `once` rejects when the thread fails first; a later failure is an uncaught error of its process.
  const [event] = (await once(worker, "message")) as [CeilingEvent]
  if (event.type !== "ready") throw new Error(`a ceiling thread said ${event.type}`)
  return { worker, port: event.port }
}

function placesByStream(
  plan: TransferPlan,
  spans: readonly MemorySpan[],
  role: CeilingStart["role"],
  streams: number,
): (Places | undefined)[] {
  const dealt = stripe(plan, streams)
  const regions = role === "sender" ? dealt.sourceRegion : dealt.targetRegion
  const offsets = role === "sender" ? dealt.sourceOffset : dealt.targetOffset
  return Array.from({ length: streams }, (_, stream) => {
    const mine = [...dealt.rail.keys()].filter((i) => dealt.rail[i] === stream)
    if (mine.length === 0) return undefined
    return {
      addresses: Float64Array.from(mine, (i) => spans[regions[i]!]!.addressOf(offsets[i]!, dealt.length[i]!)),
      lengths: Uint32Array.from(mine, (i) => dealt.length[i]!),
    }
  })
}
