/** P3. Never other than said: whatever a transfer was and however it ended, its receipt tells what was asked, by whom, of whom, and what came of it. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { lendBlocks, openPair, type Pair, pullOf, type Side } from "../agent/agent.test.kit.ts"
import type { Ticket, TicketFailed } from "../agent/ticket.ts"
import { blocksFor, wholeModelLayout } from "../kv/kv-layout.ts"
import type { IntegrityLevel, TransferReceipt } from "../receipt/receipt.ts"
import { transports } from "./transports.test.kit.ts"

const shape = { layers: 3, kvHeads: 2, headDim: 8, elementBytes: 4 }
const offers = { read: true, write: true }
const levels: readonly IntegrityLevel[] = ["none", "epoch", "sampled", "full"]
const soon = () => ({ deadline: performance.now() + 10_000 })
/** Both sides are of this process: each is given numbers and names of its own. */
const partyOf = (agentId: string, pid: number) => ({ pid, agentId, bootId: randomBytes(16).toString("hex") })
const owner = partyOf("owner", 1111)
const holder = partyOf("holder", 2222)

/** A way to move a sequence; `lend` lends its blocks. */
interface Way {
  readonly name: string
  readonly direction: "read" | "write"
  readonly mode: "copy" | "attach"
  /** The lease is claimed before there is a ticket. */
  readonly claims?: true
  start(pair: Pair, lease: string, tokens: number, told: Told): Promise<Ticket>
}

interface Told {
  readonly requestId: string
  readonly trace: string
  readonly integrity: IntegrityLevel
  readonly timeoutMillis?: number
  readonly signal?: AbortSignal
}

const intoOf = ({ pool }: Side, tokens: number): Uint32Array =>
  pool.allocator.allocate(blocksFor(tokens, pool.layout.blockTokens))

const ways: readonly Way[] = [
  {
    name: "a pull",
    direction: "read",
    mode: "copy",
    start: async ({ target, address }, lease, tokens, told) =>
      target.agent.pull(await target.agent.connect(address, 5000), pullOf(lease, tokens, target, told)),
  },
  {
    name: "a pull that names no tokens",
    direction: "read",
    mode: "copy",
    start: async ({ target, address }, lease, tokens, told) =>
      target.agent.pull(await target.agent.connect(address, 5000), {
        lease,
        into: intoOf(target, tokens),
        ...told,
      }),
  },
  {
    name: "a prepared read",
    direction: "read",
    mode: "copy",
    claims: true,
    start: async ({ target, address }, id, tokens, { integrity, ...told }) => {
      const lease = await target.agent.claim(await target.agent.connect(address, 5000), id, soon())
      return target.agent.prepareRead({ lease, into: intoOf(target, tokens), integrity }).post(told)
    },
  },
  {
    name: "a use in place",
    direction: "read",
    mode: "attach",
    claims: true,
    start: async ({ target, address }, id, _tokens, { integrity, ...told }) => {
      const lease = await target.agent.claim(await target.agent.connect(address, 5000), id, soon())
      const attachment = await (await target.agent.prepareAttach(lease, integrity)).attach(told)
      void attachment.release()
      return attachment.ticket
    },
  },
  {
    name: "a push",
    direction: "write",
    mode: "copy",
    start: async ({ target, address }, lease, tokens, told) =>
      target.agent.push(await target.agent.connect(address, 5000), {
        lease,
        from: intoOf(target, tokens),
        tokens,
        ...told,
      }),
  },
]

/** What a receipt says of who and what, however it ended. */
function assertNames(receipt: TransferReceipt, way: Way, told: Told, transport: string): void {
  const { direction, mode } = way
  const [source, target] = direction === "read" ? [owner, holder] : [holder, owner]
  const { requestId, trace, layers, path, integrity } = receipt
  assert.deepEqual(
    { requestId, trace, layers, level: integrity.level, transport: path.transport },
    {
      requestId: told.requestId,
      trace: told.trace,
      layers: shape.layers,
      level: told.integrity,
      transport,
    },
  )
  assert.deepEqual([receipt.source, receipt.target], [source, target])
  assert.deepEqual([receipt.direction, receipt.mode], [direction, mode])
}

for (const transport of transports) {
  for (const way of ways.filter(({ mode }) => mode === "copy" || transport.name === "shm")) {
    const sizes = [
      [16, 6],
      [16, 16],
      [6, 16],
    ] as const
    for (const [ownerTokens, holderTokens] of transport.name === "loopback" ? sizes : sizes.slice(0, 1)) {
      test(`${transport.name}: the receipt of ${way.name} says who, what and how much, from blocks of ${ownerTokens} tokens to such of ${holderTokens}`, async () => {
        const layoutOf = (blockTokens: number) => wholeModelLayout(shape, { blocks: 600, blockTokens })
        await using pair = await openPair([transport], {
          source: { layout: layoutOf(ownerTokens), party: owner, offers },
          target: { layout: layoutOf(holderTokens), party: holder, offers },
        })
        const tickets = new Set<string>()
        for (const integrity of levels) {
          for (const tokens of [1, 16 * 6, 16 * 40 - 5]) {
            const access = way.direction
            const { lease } = lendBlocks(pair.source, tokens, { access })
            const told = { requestId: `request ${tokens}`, trace: `trace of ${integrity}`, integrity }
            const began = performance.now()
            const receipt = await (await way.start(pair, lease, tokens, told)).receipt
            const lasted = (performance.now() - began) * 1000
            const { state, error, bytes, path, micros, integrity: proof } = receipt
            assert.equal(state, "delivered", JSON.stringify(error))
            assertNames(receipt, way, told, transport.name)
            const [sourceTokens, targetTokens] =
              way.direction === "read" ? [ownerTokens, holderTokens] : [holderTokens, ownerTokens]
            const inTarget = way.mode === "attach" ? holderTokens : targetTokens
            assert.deepEqual([receipt.tokens, receipt.blocks], [tokens, blocksFor(tokens, inTarget)])
            const payload = way.mode === "attach" ? 0 : tokens * 3 * 2 * 2 * 8 * 4
            const carried = path.rails.reduce((sum, rail) => sum + rail.bytes, 0)
            assert.deepEqual([bytes, carried], [payload, payload])
            const sealed = blocksFor(tokens, sourceTokens)
            const all = 3 * sealed
            const sample = Math.max(3, Math.ceil(all / 16))
            const hashes = { none: 0, epoch: 0, sampled: sample, full: all }[integrity]
            assert.equal(proof.checked, hashes, `hashes of ${all} at level ${integrity}`)
            assert.equal(proof.epochs, integrity === "none" || way.direction === "write" ? 0 : sealed)
            const stamped = way.direction === "read" ? "current" : "unchecked"
            const verdict = { none: "unchecked", epoch: stamped, sampled: "identical", full: "identical" }
            assert.deepEqual([proof.verdict, proof.firstDifference], [verdict[integrity], undefined])
            const { total, ...parts } = micros
            const sum = Object.values(parts).reduce((one, other) => one + other, 0)
            assert.ok(total <= lasted + 1 && sum <= total + 5, JSON.stringify({ micros, lasted }))
            assert.match(receipt.ticket, /^[0-9a-f]{16}$/)
            assert.ok(!tickets.has(receipt.ticket) && receipt.retries === 0)
            tickets.add(receipt.ticket)
          }
        }
      })
    }

    test(`${transport.name}: the receipt of ${way.name} that does not come to its end says who, what and why`, async () => {
      await using pair = await openPair([transport], {
        source: { party: owner, offers },
        target: { party: holder, offers },
      })
      const end = async (lease: string, more: Partial<Told>) => {
        const told = { requestId: "r", trace: "t", integrity: "full", ...more } as const
        const receipt = await way.start(pair, lease, 40, told).then(
          (ticket) => ticket.receipt,
          // A use that never began throws its end.
          (thrown: unknown) => (thrown as TicketFailed).receipt,
        )
        assertNames(receipt, way, told, transport.name)
        const carried = receipt.path.rails.reduce((sum, rail) => sum + rail.bytes, 0)
        assert.equal(receipt.bytes, carried)
        if (more.timeoutMillis === undefined)
          assert.deepEqual([receipt.bytes, receipt.bytesPerSecond], [0, 0])
        assert.equal(receipt.integrity.verdict, "unchecked")
        return [receipt.state, receipt.error?.code]
      }
      const lend = () => lendBlocks(pair.source, 40, { access: way.direction }).lease
      const cancelled = await end(lend(), { signal: AbortSignal.abort() })
      assert.deepEqual(cancelled, ["cancelled", "KV_CANCELLED"])
      if (way.claims) return
      assert.deepEqual(await end(lend(), { timeoutMillis: 0 }), ["expired", "KV_DEADLINE"])
      const over = lend()
      pair.source.agent.withdraw(over)
      assert.deepEqual(await end(over, {}), ["failed", "KV_LEASE_UNKNOWN"])
      // It was lent the other way.
      const access = way.direction === "read" ? "write" : "read"
      const other = lendBlocks(pair.source, 40, { access }).lease
      assert.deepEqual(await end(other, {}), ["failed", "KV_USAGE"])
    })
  }
}
