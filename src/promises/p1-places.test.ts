/** P1. Delivered means proven: by every way to move a sequence, each time, and what is found wrong is named by its place. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fillRandom, lendBlocks, openPair, type Pair, type Side, shape } from "../agent/agent.test.kit.ts"
import type { Ticket } from "../agent/ticket.ts"
import { blocksFor, kvStrides, wholeModelLayout } from "../kv/kv-layout.ts"
import type { IntegrityLevel, TransferReceipt } from "../receipt/receipt.ts"
import { withFaults } from "../transport/fault/with-faults.ts"
import { transports } from "./transports.test.kit.ts"

const offers = { read: true, write: true }
const soon = () => ({ deadline: performance.now() + 10_000 })
const tokens = 80

/** One sequence that is moved again and again; `sealed` are the blocks that were hashed, `origin` the side that has them. */
interface Again extends AsyncDisposable {
  readonly origin: Side
  readonly sealed: Uint32Array
  move(): Promise<TransferReceipt>
}

type Way = (pair: Pair, integrity?: IntegrityLevel) => Promise<Again>

const release = (side: Side, blocks: Uint32Array) => () => side.pool.allocator.release(blocks)
const take = ({ pool }: Side): Uint32Array =>
  pool.allocator.allocate(blocksFor(tokens, pool.layout.blockTokens))
const levelOf = (integrity?: IntegrityLevel) => (integrity === undefined ? {} : { integrity })

const ways: Readonly<Record<string, Way>> = {
  "a pull": async ({ source, target, address }, integrity) => {
    const peer = await target.agent.connect(address, 5000)
    const [sealed, into] = [take(source), take(target)]
    return {
      origin: source,
      sealed,
      move: () => {
        const lease = source.agent.lend({ blocks: sealed, tokens, lifetimeMillis: 60_000, onEnd: () => {} })
        return target.agent.pull(peer, { lease, into, ...levelOf(integrity) }).receipt
      },
      [Symbol.asyncDispose]: async () => release(target, into)(),
    }
  },
  "a prepared read": async ({ source, target, address }, integrity) => {
    const { lease, blocks } = lendBlocks(source, tokens)
    const held = await target.agent.claim(await target.agent.connect(address, 5000), lease, soon())
    const read = target.agent.prepareRead({ lease: held, into: take(target), ...levelOf(integrity) })
    return {
      origin: source,
      sealed: blocks,
      move: () => read.post().receipt,
      [Symbol.asyncDispose]: async () => {
        await read[Symbol.asyncDispose]()
        await held.release()
      },
    }
  },
  "a use in place": async ({ source, target, address }, integrity) => {
    const { lease, blocks } = lendBlocks(source, tokens)
    const held = await target.agent.claim(await target.agent.connect(address, 5000), lease, soon())
    const prepared = await target.agent.prepareAttach(held, integrity)
    const use = async (): Promise<Ticket> => {
      const attachment = await prepared.attach()
      void attachment.release()
      return attachment.ticket
    }
    return {
      origin: source,
      sealed: blocks,
      move: () =>
        use().then(
          (ticket) => ticket.receipt,
          (thrown: { receipt: TransferReceipt }) => thrown.receipt,
        ),
      [Symbol.asyncDispose]: async () => {
        await prepared[Symbol.asyncDispose]()
        await held.release()
      },
    }
  },
  "a push": async ({ source, target, address }, integrity) => {
    const peer = await target.agent.connect(address, 5000)
    const from = take(target)
    return {
      origin: target,
      sealed: from,
      move: () => {
        const { lease } = lendBlocks(source, tokens, { access: "write" })
        return target.agent.push(peer, { lease, from, tokens, ...levelOf(integrity) }).receipt
      },
      [Symbol.asyncDispose]: async () => release(target, from)(),
    }
  },
}

/** Changes one bit of a block in a layer, without a word. */
function damage({ origin, sealed }: Again, layer: number, position: number): void {
  const { block } = kvStrides(origin.pool.layout)
  origin.pool.spans[layer]!.view(sealed[position]! * block, block)[position]! ^= 4
}

for (const transport of transports) {
  for (const [name, way] of Object.entries(ways)) {
    if (name === "a use in place" && transport.name !== "shm") continue
    const sizes = [
      [16, 5],
      [16, 16],
      [5, 16],
    ] as const
    for (const [one, other] of transport.name === "loopback" ? sizes : sizes.slice(0, 1)) {
      test(`${transport.name}: ${name} finds what changed since it was proven, and names the first place, from blocks of ${one} tokens to such of ${other}`, async () => {
        const layoutOf = (blockTokens: number) => wholeModelLayout(shape, { blocks: 128, blockTokens })
        await using pair = await openPair([transport], {
          source: { layout: layoutOf(one), offers },
          target: { layout: layoutOf(other), offers },
        })
        fillRandom(pair.source)
        fillRandom(pair.target)
        const again = await way(pair, "full")
        const last = again.sealed.length - 1
        for (const [layer, block, ...more] of [
          [0, 0],
          [2, last],
          [1, 3, 2, 1],
          [0, last, 1, 0],
        ] as const) {
          const sound = await again.move()
          assert.deepEqual([sound.state, sound.integrity.verdict], ["delivered", "identical"])
          assert.equal(sound.integrity.checked, shape.layers * again.sealed.length)
          damage(again, layer, block)
          if (more.length === 2) damage(again, more[0], more[1])
          const { state, error, integrity } = await again.move()
          assert.deepEqual([state, error?.code], ["failed", "KV_BYTES_DIFFER"])
          assert.match(error?.what ?? "", new RegExp(`^layer ${layer}, block ${block} of `))
          // The owner of a push has compared; its writer has the owner's word.
          if (name !== "a push") {
            assert.deepEqual(integrity.firstDifference, { layer, block })
            assert.equal(integrity.verdict, "different")
          }
          damage(again, layer, block)
          if (more.length === 2) damage(again, more[0], more[1])
        }
        assert.equal((await again.move()).state, "delivered")
        await again[Symbol.asyncDispose]()
      })
    }
  }
}

for (const [name, way] of Object.entries(ways)) {
  test(`a floor holds for ${name}, whatever it or its agent asks for`, async () => {
    const transport = transports.find((one) => one.name === (name === "a use in place" ? "shm" : "loopback"))!
    for (const [own, floor, asked, used] of [
      ["none", "sampled", undefined, "sampled"],
      ["full", "sampled", "none", "sampled"],
      ["none", "sampled", "full", "full"],
      ["epoch", "none", undefined, "epoch"],
      ["epoch", "full", "epoch", "full"],
      ["full", "none", "none", "none"],
    ] as const) {
      const other = wholeModelLayout(shape, { blocks: 64, blockTokens: 5 })
      const target = { integrity: own, integrityFloor: floor, offers, layout: other }
      await using pair = await openPair([transport], { source: { offers }, target })
      const again = await way(pair, asked)
      const { state, integrity } = await again.move()
      assert.deepEqual([state, integrity.level], ["delivered", used], `${own}, ${floor}, ${asked}`)
      assert.equal(integrity.checked > 0, used === "sampled" || used === "full")
      await again[Symbol.asyncDispose]()
    }
  })
}

for (const transport of transports) {
  test(`${transport.name}: a look at the stamps whose answer has not come yet is no proof, also after one that was`, async () => {
    let late = false
    const faulty = withFaults(transport, ({ bytes }) =>
      // What the stamps of a few blocks are, and no payload.
      late && bytes < 1000 ? { kind: "early", landsAfterMillis: 30 } : undefined,
    )
    await using pair = await openPair([transport], { target: { transports: [faulty] } })
    const again = await ways["a prepared read"]!(pair, "epoch")
    assert.equal((await again.move()).integrity.verdict, "current")
    late = true
    const { state, error } = await again.move()
    assert.deepEqual([state, error?.code], ["failed", "KV_BLOCK_REUSED"])
    late = false
    await new Promise((resolve) => setTimeout(resolve, 60))
    assert.equal((await again.move()).integrity.verdict, "current")
    await again[Symbol.asyncDispose]()
  })
}
