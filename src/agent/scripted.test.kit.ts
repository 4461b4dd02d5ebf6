/** A peer whose other side the test plays, over a connection whose moves the test ends, under a clock that stands still. */
import assert from "node:assert/strict"
import { KvError } from "../errors/kv-error.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import { PlainMapping, PlainMemory } from "../memory/plain-memory.test.kit.ts"
import type { Party } from "../receipt/receipt.ts"
import { preparedByRunning } from "../transport/prepared-move.ts"
import type { Connection, Endpoint, Move, Moved, MoveRequest, PreparedMove } from "../transport/transport.ts"
import type { StoredSequence } from "../verify/fingerprint.ts"
import { plainHasher } from "../verify/hasher.ts"
import type { ControlMessage } from "../wire/control-messages.ts"
import { Calls } from "./calls.ts"
import { cardOf, endpointOf, grantOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { delivered, FakeClock, openPipe, type PipeEnd } from "./in-memory.test.kit.ts"
import type { LocalCache } from "./local-cache.ts"
import { Peer } from "./peer.ts"
import { Seals } from "./seals.ts"
import { StampArena } from "./stamps.ts"

export const isKv = (code: string) => (error: unknown) => {
  assert.ok(error instanceof KvError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}
export const leaseA = "ab".repeat(16)
export const leaseB = "cd".repeat(16)

/** The peer's region of stamps, in `cardOf()`'s numbering. */
export const stampsRegion = { region: 2, length: 32, rkeys: [3], iova: 0 }

/** A connection that moves nothing by itself: the test ends each move. Only stamps are read at once. */
export class ScriptedConnection implements Connection {
  readonly transport = "imaginary"
  readonly lost: Promise<Error>
  /** The moves of payload, in their order. */
  readonly moves: Move[] = []
  /** What the peer's stamps show. */
  readonly stamps = new Uint32Array(8)
  arena: StampArena | undefined
  stampReads = 0
  /** Why not even stamps come through any more. */
  broken: KvError | undefined
  disposed = 0
  lose!: (error: Error) => void
  finish: () => void = () => {}
  fail: (error: KvError) => void = () => {}

  constructor() {
    this.lost = new Promise((resolve) => {
      this.lose = resolve
    })
  }

  prepare(request: MoveRequest): PreparedMove {
    return preparedByRunning(request, (checked, options) => this.move({ ...checked, ...options }))
  }

  move(move: Move): Promise<Moved> {
    const { bytes, pieces } = move.plan
    const moved = { bytes, pieces, rails: [{ rail: 0, bytes }], retries: 2 }
    if (move.remote[0]?.region === stampsRegion.region) {
      if (this.broken !== undefined) return Promise.reject(this.broken)
      this.#readStamps(move)
      return Promise.resolve(moved)
    }
    this.moves.push(move)
    return new Promise((resolve, reject) => {
      this.finish = () => resolve(moved)
      this.fail = reject
      move.signal?.addEventListener("abort", () => reject(new KvError("KV_CANCELLED", { what: "cancelled" })))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed += 1
  }

  #readStamps({ plan }: Move): void {
    this.stampReads += 1
    const source = new Uint8Array(this.stamps.buffer)
    for (let i = 0; i < plan.pieces; i++) {
      const at = plan.sourceOffset[i]!
      const view = this.arena!.mapping.view(plan.targetOffset[i]!, plan.length[i]!)
      view.set(source.subarray(at, at + plan.length[i]!))
    }
  }
}

/** A peer, and the test as the process behind it. */
export interface PeerRig {
  readonly clock: FakeClock
  readonly peer: Peer
  readonly connection: ScriptedConnection
  /** What the peer is connected with once it may write. */
  readonly writer: ScriptedConnection
  readonly end: PipeEnd
  /** What the peer's process has heard, and the bytes behind the last of it. */
  readonly heard: ControlMessage[]
  readonly attachments: Uint8Array[]
  readonly losses: number[]
  readonly layout: KvLayout
  say(message: ControlMessage, attachment?: Uint8Array): Promise<void>
  /** Hears the next question of one type and answers it, with its call number. */
  answer(type: string, answer: (call: number) => ControlMessage, attachment?: Uint8Array): Promise<void>
}

/** Time between two signs of life, and the silence after which a peer is lost, in rigs. */
export const rigTimes = { pulseMillis: 1000, silenceMillis: 9000, holdMillis: 3000 }

/** Opens a peer; `heads` is its share of the model's heads. */
export function openPeer({ heads = 4, expiresMillis = 60_000 } = {}): PeerRig {
  const clock = new FakeClock()
  const [end, other] = openPipe()
  const heard: ControlMessage[] = []
  const attachments: Uint8Array[] = []
  const actor = new MessageChannel(other)
  const keys = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const
  actor.seal(keys[0])
  actor.handOver(keys[1])
  actor.listen(
    ({ message, attachment }) => {
      heard.push(message)
      attachments.push(attachment)
    },
    () => {},
  )
  const card = cardOf("theirs", { layoutChanges: { heads }, epochs: { region: stampsRegion.region } })
  const [connection, writer] = [new ScriptedConnection(), new ScriptedConnection()]
  const endpoint = { transport: "imaginary", rails: 1 } as unknown as Endpoint
  const remote = { ...endpointOf, regions: [...endpointOf.regions, stampsRegion] }
  const path = { endpoint, remote, why: "imaginary: for a test", passedOver: [] }
  const channel = new MessageChannel(end)
  channel.seal(keys[1])
  channel.handOver(keys[0])
  const losses: number[] = []
  const peer = new Peer({
    card,
    grant: grantOf({
      expiresMillis,
      bootId: card.bootId,
      regions: [0, 1, stampsRegion.region],
      endpoints: [remote],
    }),
    channel,
    calls: new Calls(channel, clock, card.agentId),
    path,
    connection,
    reconnect: () => Promise.resolve(writer),
    clock,
    pulseMillis: rigTimes.pulseMillis,
    silenceMillis: rigTimes.silenceMillis,
    onLost: () => void losses.push(1),
  })
  let answered = 0
  const say: PeerRig["say"] = async (message, attachment) => {
    actor.send(message, attachment)
    await delivered()
  }
  return {
    clock,
    peer,
    connection,
    writer,
    end,
    heard,
    attachments,
    losses,
    layout: card.layout,
    say,
    async answer(type, compose, attachment) {
      await delivered()
      const at = heard.findIndex((message, i) => i >= answered && message.type === type)
      assert.ok(at >= 0, `no "${type}" among ${heard.map((message) => message.type).join(", ")}`)
      answered = at + 1
      const message = heard[at]!
      assert.ok("call" in message)
      await say(compose(message.call), attachment)
    },
  }
}

/** A grant of blocks as the peer gives it. */
export const grantedOf = (
  call: number,
  changes: Partial<Extract<ControlMessage, { type: "granted" }>> = {},
): ControlMessage => ({
  type: "granted",
  call,
  tokens: 20,
  blocks: [0, 1],
  epochs: [0, 0],
  access: "read",
  holdMillis: rigTimes.holdMillis,
  ...changes,
})

const party: Party = { pid: 1, agentId: "ours", bootId: "ff".repeat(16) }

/** Our own side of a rig's transfers: two layers of eight blocks in plain memory. */
export function openCache(rig: PeerRig, changes: Partial<LocalCache> = {}): LocalCache {
  const layout = { ...rig.layout, heads: 4 }
  const stamps = new StampArena(new PlainMemory(), 3)
  rig.connection.arena = stamps
  let tickets = 0
  return {
    party,
    clock: rig.clock,
    layout,
    spans: [0, 1].map((layer) => new PlainMapping(32_768, `layer-${layer}`)),
    hasher: plainHasher,
    seals: new Seals(plainHasher, () => 0),
    stamps,
    integrity: "full",
    integrityFloor: "none",
    random: () => 0,
    ticketId: () => (tickets++).toString(16).padStart(16, "0"),
    ...changes,
  }
}

/** Where a rig's transfers land, or come from. */
export const ownBlocks = Uint32Array.of(5, 3)

/** A sequence of 20 tokens in our own blocks. */
export const ownSequence = ({ layout, spans }: LocalCache): StoredSequence => ({
  layout,
  spans,
  blocks: ownBlocks,
  tokens: 20,
})

/** Hashes as bytes behind a message. */
export const bytesOf = (hashes: BigUint64Array): Uint8Array =>
  new Uint8Array(hashes.buffer, hashes.byteOffset, hashes.byteLength)
