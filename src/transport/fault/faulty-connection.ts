import { KvError } from "../../errors/kv-error.ts"
import type { MemorySpan } from "../../memory/host-memory.ts"
import { OnePost } from "../prepared-move.ts"
import type {
  Connection,
  Move,
  Moved,
  MoveRequest,
  PostOptions,
  PreparedMove,
  RegionDescriptor,
} from "../transport.ts"
import type { TransportFault } from "./fault-plan.ts"
import type { FaultSource } from "./fault-source.ts"
import { backwards, partOfPlan, placeInPlan, withoutPiece } from "./part-of-plan.ts"

/** What nobody waits for any more, a late landing or a repeated write, is given up after this. */
const lateMillisMax = 60_000

/** A connection whose posts go wrong as its source of faults says. */
export class FaultyConnection implements Connection {
  readonly transport: string
  readonly lost: Promise<Error>
  readonly attach?: (regions: readonly RegionDescriptor[]) => Promise<ReadonlyMap<number, MemorySpan>>
  readonly #inner: Connection
  readonly #source: FaultSource
  readonly #spans: ReadonlyMap<number, MemorySpan>
  readonly #rails: number
  /** Bytes that were reported before they landed: they stop when the connection does. */
  readonly #late = new Set<Promise<unknown>>()
  readonly #closing = new AbortController()
  #failure: KvError | undefined
  #lose!: (error: Error) => void

  constructor(
    inner: Connection,
    source: FaultSource,
    local: { readonly spans: ReadonlyMap<number, MemorySpan>; readonly rails: number },
  ) {
    this.#inner = inner
    this.#rails = local.rails
    this.#source = source
    this.#spans = local.spans
    this.transport = inner.transport
    this.lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    inner.lost.then((error) => this.#lose(error))
    if (inner.attach !== undefined) this.attach = inner.attach.bind(inner)
  }

  prepare(request: MoveRequest): PreparedMove {
    if (this.#failure !== undefined) throw this.#failure
    const { plan, direction } = request
    const inner = this.#inner.prepare(request)
    const posts = new OnePost()
    return {
      post: (options) => {
        const fault = this.#source.next({ direction, pieces: plan.pieces, bytes: plan.bytes })
        return posts.run(options, () => this.#post(inner, request, options, fault))
      },
      [Symbol.asyncDispose]: async () => {
        await posts.ended
        await inner[Symbol.asyncDispose]()
      },
    }
  }

  async move(move: Move): Promise<Moved> {
    await using prepared = this.prepare(move)
    return await prepared.post(move)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled([...this.#late])
    await this.#inner[Symbol.asyncDispose]()
  }

  async #post(
    inner: PreparedMove,
    request: MoveRequest,
    options: PostOptions,
    fault: TransportFault | undefined,
  ): Promise<Moved> {
    if (this.#failure !== undefined) throw this.#failure
    if (fault === undefined) return inner.post(options)
    const { plan } = request
    const whole = (moved: Moved): Moved => ({
      ...withoutHashes(moved),
      bytes: plan.bytes,
      pieces: plan.pieces,
    })
    switch (fault.kind) {
      case "delay":
        await this.#hold(options, fault.millis)
        return withoutHashes(await inner.post(options))
      case "reorder":
        return whole(await this.#inner.move(part(request, options, backwards(plan))))
      case "drop":
        await this.#inner.move(part(request, options, withoutPiece(plan, fault.piece)))
        return this.#hold(options, Number.POSITIVE_INFINITY)
      case "duplicate": {
        const moved = await inner.post(options)
        this.#repeat(request, fault.afterMillis)
        return withoutHashes(moved)
      }
      case "corrupt":
        return this.#corrupt(inner, request, options, fault)
      case "early": {
        const late = plan.bytes - (fault.landedBytes ?? 0)
        if (late < plan.bytes) {
          await this.#inner.move(part(request, options, partOfPlan(plan, late, plan.bytes)))
        }
        this.#landLate({ ...request, plan: partOfPlan(plan, 0, late) }, fault.landsAfterMillis)
        return { ...railsOf(request, this.#rails), bytes: plan.bytes, pieces: plan.pieces, retries: 0 }
      }
      case "die":
        await this.#inner.move(part(request, options, partOfPlan(plan, 0, fault.atByte)))
        return this.#die(
          `a fault was planted: it was to be lost after ${fault.atByte} of ${plan.bytes} bytes`,
        )
    }
  }

  /**
   * Waits, for ever if need be: what ends a move ends this too.
   * @throws KvError KV_DEADLINE, KV_CANCELLED, KV_PEER_LOST.
   */
  #hold(options: PostOptions, millis: number): Promise<never>
  #hold(options: PostOptions, millis: number): Promise<void> {
    const { clock } = this.#source
    const { deadline, signal } = options
    const left = deadline - clock.now()
    return new Promise((resolve, reject) => {
      const settle = (action: () => void): void => {
        cancelTimer()
        signal?.removeEventListener("abort", cancel)
        this.#closing.signal.removeEventListener("abort", close)
        action()
      }
      const fail = (error: KvError): void => settle(() => reject(error))
      const cancel = (): void => fail(new KvError("KV_CANCELLED", { what: "the transfer was cancelled" }))
      const close = (): void => fail(lostPeer("this side closed the connection"))
      const cancelTimer = clock.after(Math.max(0, Math.min(left, millis)), () => {
        if (millis < left) settle(resolve)
        else fail(new KvError("KV_DEADLINE", { what: "the move did not end before its deadline" }))
      })
      signal?.addEventListener("abort", cancel, { once: true })
      this.#closing.signal.addEventListener("abort", close, { once: true })
      this.lost.then((error) => fail(error instanceof KvError ? error : lostPeer(error.message)))
    })
  }

  /** Writes what is in the target now once more, later. A write is repeated with what the source holds by then. */
  #repeat(request: MoveRequest, millis: number): void {
    const { plan, direction } = request
    const { clock } = this.#source
    if (direction === "write") {
      const again = part(request, { deadline: clock.now() + millis + lateMillisMax }, plan)
      clock.after(millis, () => void this.#inner.move(again).catch(() => {}))
      return
    }
    const bytes = Array.from({ length: plan.pieces }, (_, i) =>
      this.#spans.get(plan.targetRegion[i]!)!.view(plan.targetOffset[i]!, plan.length[i]!).slice(),
    )
    clock.after(millis, () => {
      for (const [i, piece] of bytes.entries()) {
        this.#spans.get(plan.targetRegion[i]!)?.view(plan.targetOffset[i]!, plan.length[i]!).set(piece)
      }
    })
  }

  /** Flips a bit of what a read has brought. For a write it is flipped in the source, and back when it has moved. */
  async #corrupt(
    inner: PreparedMove,
    { plan, direction }: MoveRequest,
    options: PostOptions,
    fault: { readonly byte: number; readonly bit: number },
  ): Promise<Moved> {
    const { piece, done } = placeInPlan(plan, fault.byte)
    const reading = direction === "read"
    const region = (reading ? plan.targetRegion : plan.sourceRegion)[piece]!
    const offset = (reading ? plan.targetOffset : plan.sourceOffset)[piece]! + done
    const flip = (): void => {
      const span = this.#spans.get(region)
      if (span !== undefined) span.view(offset, 1)[0]! ^= 1 << fault.bit
    }
    if (reading) {
      const moved = await inner.post(options)
      flip()
      return withoutHashes(moved)
    }
    flip()
    try {
      return withoutHashes(await inner.post(options))
    } finally {
      flip()
    }
  }

  #landLate(request: MoveRequest, millis: number): void {
    const { clock } = this.#source
    const { signal } = this.#closing
    const landing = new Promise<void>((resolve) => {
      const cancelTimer = clock.after(millis, () => {
        const move = part(request, { deadline: clock.now() + lateMillisMax, signal }, request.plan)
        this.#inner.move(move).then(
          () => resolve(),
          () => resolve(),
        )
      })
      signal.addEventListener(
        "abort",
        () => {
          cancelTimer()
          resolve()
        },
        { once: true },
      )
    })
    this.#late.add(landing)
    landing.then(() => this.#late.delete(landing))
  }

  async #die(why: string): Promise<never> {
    const error = lostPeer(why)
    this.#failure = error
    // Before the close: the reason that is told is this one.
    this.#lose(error)
    await this[Symbol.asyncDispose]()
    throw error
  }
}

/** Another plan between the same regions. What it would hash is not the plan's any more. */
function part({ hashes: _, ...request }: MoveRequest, options: PostOptions, plan: MoveRequest["plan"]): Move {
  return { ...request, ...options, plan }
}

function withoutHashes({ hashes: _, ...moved }: Moved): Moved {
  return moved
}

/** The payload bytes of a plan by rail, as a fabric of `rails` rails would report them. */
function railsOf({ plan }: MoveRequest, rails: number): Pick<Moved, "rails"> {
  const bytes = Array<number>(rails).fill(0)
  for (let i = 0; i < plan.pieces; i++) bytes[plan.rail[i]! % rails]! += plan.length[i]!
  return { rails: bytes.map((sum, rail) => ({ rail, bytes: sum })) }
}

const lostPeer = (why: string): KvError =>
  new KvError("KV_PEER_LOST", { what: "the connection is gone", why })
