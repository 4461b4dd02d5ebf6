import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../errors/kv-error.ts"
import type { KvLayout } from "../kv/kv-layout.ts"
import { PlainMapping } from "../memory/plain-memory.test.kit.ts"
import { receiptSchema, type TransferReceipt } from "../receipt/receipt.ts"
import { preparedByRunning } from "../transport/prepared-move.ts"
import type { Connection, Endpoint, Move, Moved, MoveRequest, PreparedMove } from "../transport/transport.ts"
import { fingerprintBlocks, type StoredSequence } from "../verify/fingerprint.ts"
import { type ControlMessage, noCall } from "../wire/control-messages.ts"
import { cardOf, endpointOf } from "./cards.test.kit.ts"
import { MessageChannel } from "./channel.ts"
import { delivered, FakeClock, openPipe } from "./in-memory.test.kit.ts"
import { Peer } from "./peer.ts"
import { type PullOptions, Transfer } from "./transfer.ts"

const isKv = (code: string) => (error: unknown) => {
  assert.ok(error instanceof KvError, String(error))
  assert.equal(error.code, code, error.message)
  return true
}
const lease = "ab".repeat(16)

/** A connection that moves nothing by itself: the test ends each move. */
class ScriptedConnection implements Connection {
  readonly transport = "imaginary"
  readonly lost: Promise<Error>
  readonly moves: Move[] = []
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
    this.moves.push(move)
    const { bytes, pieces } = move.plan
    return new Promise((resolve, reject) => {
      this.finish = () => resolve({ bytes, pieces, rails: [{ rail: 0, bytes }], retries: 2 })
      this.fail = reject
      move.signal?.addEventListener("abort", () => reject(new KvError("KV_CANCELLED", { what: "cancelled" })))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed += 1
  }
}

interface Rig {
  readonly clock: FakeClock
  readonly peer: Peer
  readonly connection: ScriptedConnection
  readonly heard: ControlMessage[]
  readonly losses: number[]
  readonly layout: KvLayout
  say(message: ControlMessage, attachment?: Uint8Array): Promise<void>
}

/** A peer whose other side the test plays; `heads` is its share of the model's heads. */
function openRig(heads = 4): Rig {
  const clock = new FakeClock()
  const [end, other] = openPipe()
  const heard: ControlMessage[] = []
  const actor = new MessageChannel(other)
  actor.listen(
    ({ message }) => heard.push(message),
    () => {},
  )
  const card = cardOf("theirs", { layoutChanges: { heads } })
  const connection = new ScriptedConnection()
  const endpoint = { transport: "imaginary", rails: 1 } as unknown as Endpoint
  const path = { endpoint, remote: endpointOf, why: "imaginary: for a test" }
  const channel = new MessageChannel(end)
  channel.handOver([])
  const session = { id: "00".repeat(16), key: new Uint8Array(32) }
  const losses: number[] = []
  const onLost = (): void => void losses.push(1)
  const peer = new Peer({ card, session }, channel, path, connection, clock, onLost)
  return {
    clock,
    peer,
    connection,
    heard,
    losses,
    layout: card.layout,
    async say(message, attachment) {
      actor.send(message, attachment)
      await delivered()
    },
  }
}

test("a claim is answered with the grant's blocks and hashes", async () => {
  const { peer, clock, heard, say } = openRig()
  const claim = peer.claim(lease, clock.now() + 100)
  await delivered()
  assert.deepEqual(heard, [{ type: "claim", call: 1, lease }])
  const hashes = BigUint64Array.of(1n, 2n ** 63n)
  await say(
    { type: "granted", call: 1, tokens: 17, blocks: [4, 2], epochs: [0, 0], access: "read" },
    new Uint8Array(hashes.buffer),
  )
  assert.deepEqual(await claim, { tokens: 17, blocks: Uint32Array.of(4, 2), fingerprints: hashes })
  assert.equal(clock.waiting, 0)
})

test("a call that is not answered ends at its deadline, and an answer after it harms nothing", async () => {
  const late: ControlMessage[] = [
    { type: "granted", call: 1, tokens: 1, blocks: [0], epochs: [0], access: "read" },
    { type: "released", call: 1 },
    { type: "refused", call: 1, error: { code: "KV_LEASE_UNKNOWN", what: "too late" } },
  ]
  for (const message of late) {
    const { peer, clock, say } = openRig()
    const claim = assert.rejects(peer.claim(lease, clock.now() + 100), isKv("KV_DEADLINE"))
    clock.advance(100)
    await claim
    await say(message)
    assert.equal(peer.lost, undefined, `a late "${message.type}" ends the peer`)
    const next = peer.release(lease, clock.now() + 100)
    await delivered()
    await say({ type: "released", call: 2 })
    await next
  }
})

test("a call can be cancelled while the peer is silent", async () => {
  const { peer, clock, say } = openRig()
  const abort = new AbortController()
  const claim = peer.claim(lease, clock.now() + 1e6, abort.signal)
  abort.abort()
  await assert.rejects(claim, isKv("KV_CANCELLED"))
  await assert.rejects(peer.claim(lease, clock.now() + 1e6, AbortSignal.abort()), isKv("KV_CANCELLED"))
  assert.equal(clock.waiting, 0)
  await say({ type: "granted", call: 1, tokens: 1, blocks: [0], epochs: [0], access: "read" })
  assert.equal(peer.lost, undefined)
})

test("a refusal ends its own call with the peer's code and words, and no other", async () => {
  const { peer, clock, say } = openRig()
  const first = peer.claim(lease, clock.now() + 100)
  const second = peer.claim("cd".repeat(16), clock.now() + 100)
  const refused = assert.rejects(first, isKv("KV_LEASE_UNKNOWN"))
  await say({ type: "refused", call: 1, error: { code: "KV_LEASE_UNKNOWN", what: "it has expired" } })
  await refused
  await say({ type: "granted", call: 2, tokens: 3, blocks: [1], epochs: [0], access: "read" })
  assert.equal((await second).tokens, 3)
})

test("a refusal of no call ends the peer and all its calls", async () => {
  const { peer, clock, say, connection, losses } = openRig()
  const calls = [peer.claim(lease, clock.now() + 100), peer.release(lease, clock.now() + 100)]
  const ended = Promise.all(calls.map((call) => assert.rejects(call, isKv("KV_LIMIT"))))
  await say({ type: "refused", call: noCall, error: { code: "KV_LIMIT", what: "too many" } })
  await ended
  assert.equal(peer.lost?.code, "KV_LIMIT")
  assert.deepEqual([connection.disposed, losses.length, clock.waiting], [1, 1, 0])
  await assert.rejects(peer.claim(lease, clock.now() + 100), isKv("KV_LIMIT"))
})

test("an answer of the wrong kind ends its call; a message that is no answer ends the peer", async () => {
  const { peer, clock, say } = openRig()
  const claim = assert.rejects(peer.claim(lease, clock.now() + 100), isKv("KV_WIRE_INVALID"))
  await delivered()
  await say({ type: "released", call: 1 })
  await claim
  const lost = (): KvError | undefined => peer.lost
  assert.equal(lost(), undefined)
  await say({ type: "notify", text: "psst" })
  assert.equal(lost()?.code, "KV_WIRE_INVALID")
})

test("when the connection is lost, the peer is: calls end, once", async () => {
  const { peer, clock, connection, losses } = openRig()
  const claim = assert.rejects(peer.claim(lease, clock.now() + 100), isKv("KV_PEER_LOST"))
  connection.lose(new Error("a cable was cut"))
  await claim
  assert.match(String(peer.lost?.message), /a cable was cut/)
  peer.close()
  assert.equal(losses.length, 1)
})

test("what is no lease is refused here: the peer hears nothing of it", async () => {
  const { peer, clock, heard } = openRig()
  for (const wrong of ["", "no lease", lease.toUpperCase(), `${lease}00`]) {
    await assert.rejects(peer.claim(wrong, clock.now() + 100), isKv("KV_LEASE_UNKNOWN"))
    await assert.rejects(peer.release(wrong, clock.now() + 100), isKv("KV_LEASE_UNKNOWN"))
  }
  await delivered()
  assert.deepEqual(heard, [])
})

interface Pulling extends Rig {
  readonly transfer: Transfer
  readonly target: StoredSequence
  grant(changes?: { tokens?: number; hashes?: BigUint64Array }): Promise<void>
}

function pull(options: Partial<PullOptions> = {}, sourceHeads = 4): Pulling {
  const rig = openRig(sourceHeads)
  const layout = { ...rig.layout, heads: 4 }
  const spans = [0, 1].map((layer) => new PlainMapping(32_768, `layer-${layer}`))
  const blocks = Uint32Array.of(5, 3)
  const target = { layout, spans, blocks, tokens: 20 }
  const party = { pid: 1, agentId: "ours", bootId: "ff".repeat(16) }
  const sequence = (own: Uint32Array, tokens: number): StoredSequence => ({
    layout,
    spans,
    blocks: own,
    tokens,
  })
  const transfer = new Transfer(
    rig.peer,
    { party, clock: rig.clock, sequence, regions: [0, 1] },
    {
      requestId: "r-1",
      trace: "t-1",
      lease,
      tokens: 20,
      blocks,
      integrity: "full",
      timeoutMillis: 500,
      ...options,
    },
  )
  return {
    ...rig,
    transfer,
    target,
    async grant({ tokens = 20, hashes = fingerprintBlocks(target) } = {}) {
      await delivered()
      await rig.say(
        { type: "granted", call: 1, tokens, blocks: [0, 1], epochs: [0, 0], access: "read" },
        new Uint8Array(hashes.buffer),
      )
    },
  }
}

/** Lets the transfer end, whatever it still asks of the peer. */
async function receiptOf({ transfer }: Pulling): Promise<TransferReceipt> {
  return transfer.receipt
}

test("a delivered transfer's receipt tells its path, bytes, times and proof", async () => {
  const pulling = pull()
  const { clock, connection, say, transfer } = pulling
  clock.advance(3)
  await pulling.grant()
  clock.advance(40)
  connection.finish()
  await delivered()
  clock.advance(5)
  assert.equal(transfer.state, "moved")
  await say({ type: "released", call: 2 })
  const receipt = await receiptOf(pulling)
  const bytes = 20 * 2 * 2 * 4 * 8 * 4
  assert.deepEqual(receipt, {
    schema: receiptSchema,
    ticket: transfer.id,
    requestId: "r-1",
    trace: "t-1",
    state: "delivered",
    endedAt: new Date(clock.wallMillis()).toISOString(),
    direction: "read",
    mode: "copy",
    source: { pid: 7, agentId: "theirs", bootId: "0123456789abcdef".repeat(2) },
    target: { pid: 1, agentId: "ours", bootId: "ff".repeat(16) },
    path: { transport: "imaginary", why: "imaginary: for a test", rails: [{ rail: 0, bytes }] },
    tokens: 20,
    layers: 2,
    blocks: 2,
    pieces: connection.moves[0]!.plan.pieces,
    bytes,
    micros: { grant: 3000, plan: 0, post: 0, move: 40_000, prove: 5000, total: 48_000 },
    bytesPerSecond: Math.round((bytes / 40_000) * 1e6),
    retries: 2,
    integrity: { level: "full", checked: 4, epochs: 0, verdict: "identical" },
  })
  assert.equal(clock.waiting, 0)
  assert.deepEqual(JSON.parse(JSON.stringify(receipt)), receipt)
})

test("a transfer without a check says so: its bytes are unchecked, not identical", async () => {
  const pulling = pull({ integrity: "none" })
  await pulling.grant({ hashes: new BigUint64Array(0) })
  pulling.connection.finish()
  await delivered()
  await pulling.say({ type: "released", call: 2 })
  const receipt = await receiptOf(pulling)
  assert.equal(receipt.state, "delivered")
  assert.deepEqual(receipt.integrity, { level: "none", checked: 0, epochs: 0, verdict: "unchecked" })
})

test("bytes that differ from what the source sealed fail the transfer, with the place", async () => {
  const pulling = pull()
  const hashes = fingerprintBlocks(pulling.target)
  hashes[3]! ^= 1n
  await pulling.grant({ hashes })
  pulling.connection.finish()
  const receipt = await receiptOf(pulling)
  assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_BYTES_DIFFER"])
  assert.deepEqual(receipt.integrity, {
    level: "full",
    checked: 4,
    epochs: 0,
    verdict: "different",
    firstDifference: { layer: 1, block: 1 },
  })
  await delivered()
  assert.equal(pulling.heard.at(-1)?.type, "release", "the lease is given back")
})

test("a source that sealed nothing cannot deliver what must be proven", async () => {
  const pulling = pull()
  await pulling.grant({ hashes: new BigUint64Array(0) })
  pulling.connection.finish()
  const receipt = await receiptOf(pulling)
  assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_PEER_REFUSED"])
  assert.equal(receipt.integrity.verdict, "unchecked")
})

test("hashes over other heads than ours prove nothing: such a transfer is refused, not called different", async () => {
  const pulling = pull({}, 2)
  await pulling.grant()
  const receipt = await receiptOf(pulling)
  assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_PEER_REFUSED"])
  assert.match(receipt.error?.what ?? "", /heads/)
  assert.equal(pulling.connection.moves.length, 0, "nothing was moved in vain")
  const unchecked = pull({ integrity: "none" }, 2)
  await unchecked.grant()
  unchecked.connection.finish()
  await delivered()
  await unchecked.say({ type: "released", call: 2 })
  assert.equal((await receiptOf(unchecked)).state, "delivered")
})

test("a lease that was not in force to the end fails the transfer, though its bytes were right", async () => {
  const pulling = pull()
  await pulling.grant()
  pulling.connection.finish()
  await delivered()
  await pulling.say({ type: "refused", call: 2, error: { code: "KV_LEASE_UNKNOWN", what: "it has expired" } })
  const receipt = await receiptOf(pulling)
  assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_LEASE_UNKNOWN"])
})

test("a transfer that is cancelled ends at once, whichever answer it waits for", async () => {
  const steps: ((pulling: Pulling) => Promise<void>)[] = [
    () => delivered(),
    (pulling) => pulling.grant(),
    async (pulling) => {
      await pulling.grant()
      pulling.connection.finish()
      await delivered()
    },
  ]
  for (const [index, step] of steps.entries()) {
    const pulling = pull()
    await step(pulling)
    pulling.transfer.cancel()
    const receipt = await receiptOf(pulling)
    assert.deepEqual([receipt.state, receipt.error?.code], ["cancelled", "KV_CANCELLED"], `step ${index}`)
    await delivered()
    assert.equal(pulling.heard.at(-1)?.type, "release")
    assert.equal(pulling.peer.lost, undefined)
  }
})

test("a source that stays silent makes the transfer expire at its deadline", async () => {
  const pulling = pull()
  await delivered()
  pulling.clock.advance(499)
  await delivered()
  assert.equal(pulling.transfer.state, "planned")
  pulling.clock.advance(1)
  const receipt = await receiptOf(pulling)
  assert.deepEqual([receipt.state, receipt.error?.code], ["expired", "KV_DEADLINE"])
  assert.deepEqual(receipt.micros, { grant: 500_000, plan: 0, move: 0, prove: 0, total: 500_000 })
  assert.deepEqual([receipt.bytes, receipt.bytesPerSecond], [0, 0])
})

test("a move that fails is the transfer's failure; blocks beyond the pool are refused before a move", async () => {
  const failing = pull()
  await failing.grant()
  failing.connection.fail(new KvError("KV_RKEY_REJECTED", { what: "the peer closed the region" }))
  assert.equal((await receiptOf(failing)).error?.code, "KV_RKEY_REJECTED")
  const outside = pull({ blocks: Uint32Array.of(5, 8) })
  await outside.grant()
  assert.equal((await receiptOf(outside)).error?.code, "KV_PLAN_IMPOSSIBLE")
  assert.equal(outside.connection.moves.length, 0)
})
