/** P1. Delivered means proven: what each level catches, and what it cannot. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fillRandom, lendBlocks, lendRandom, openPair, type Pair, pullOf } from "../agent/agent.test.kit.ts"
import type { IntegrityLevel, TransferReceipt } from "../receipt/receipt.ts"
import type { TransportFault } from "../transport/fault/fault-plan.ts"
import { withFaults } from "../transport/fault/with-faults.ts"
import { type Fault, faults, plantFault } from "../verify/faults.ts"
import { fingerprintBlocks } from "../verify/fingerprint.ts"
import { transports } from "./transports.test.kit.ts"

const tokens = 90

/** Two agents over a transport whose payloads have faults, one pull at a time. */
async function openPulls(transport: (typeof transports)[number]) {
  let fault: TransportFault | undefined
  const faulty = withFaults(transport, ({ bytes }) => (bytes > 1000 ? fault : undefined))
  const pair = await openPair([transport], { target: { transports: [faulty] } })
  return {
    pull(integrity: IntegrityLevel, next?: TransportFault) {
      fault = next
      return pullOver(pair, integrity, next)
    },
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  }
}

/** One pull of `tokens` tokens; and whether the bytes were right at its end. */
async function pullOver(
  pair: Pair,
  integrity: IntegrityLevel,
  fault: TransportFault | undefined,
): Promise<{ receipt: TransferReceipt; right: boolean }> {
  // What was there before is another request's.
  fillRandom(pair.target)
  const { lease, blocks } = lendRandom(pair.source, tokens)
  const peer = await pair.target.agent.connect(pair.address, 5000)
  const options = pullOf(lease, tokens, pair.target, { integrity })
  const receipt = await pair.target.agent.pull(peer, options).receipt
  const hashes = (side: typeof pair.source, of: Uint32Array): string =>
    fingerprintBlocks({ ...side.pool, blocks: of, tokens }).join()
  const right = hashes(pair.source, blocks) === hashes(pair.target, options.into)
  // A late write must find its memory.
  const late = fault?.kind === "duplicate" || fault?.kind === "early"
  if (late) await new Promise((resolve) => setTimeout(resolve, 30))
  pair.source.agent.withdraw(lease)
  pair.target.pool.allocator.release(options.into)
  return { receipt, right }
}

const verdicts = { none: "unchecked", epoch: "current", sampled: "identical", full: "identical" } as const

for (const transport of transports) {
  for (const level of ["none", "epoch", "sampled", "full"] as const) {
    test(`${transport.name}: a sound pull at level ${level} is delivered with the verdict "${verdicts[level]}"`, async () => {
      await using pulls = await openPulls(transport)
      const { receipt, right } = await pulls.pull(level)
      assert.deepEqual([receipt.state, right], ["delivered", true], JSON.stringify(receipt.error))
      assert.equal(receipt.integrity.verdict, verdicts[level])
      const all = 3 * 6
      const checked = { none: 0, epoch: 0, sampled: 3, full: all }[level]
      assert.deepEqual(
        [receipt.integrity.checked, receipt.integrity.epochs],
        [checked, level === "none" ? 0 : 6],
      )
    })
  }

  test(`${transport.name}: full catches one flipped bit, wherever it is`, async () => {
    await using pulls = await openPulls(transport)
    const bytes = tokens * 3 * 2 * 2 * 8 * 4
    for (const byte of [0, 1, 4095, Math.floor(bytes / 2), bytes - 1]) {
      const { receipt, right } = await pulls.pull("full", { kind: "corrupt", byte, bit: byte % 8 })
      assert.deepEqual([receipt.state, right], ["failed", false])
      assert.deepEqual([receipt.error?.code, receipt.integrity.verdict], ["KV_BYTES_DIFFER", "different"])
    }
  })

  test(`${transport.name}: full catches a completion that comes before the data`, async () => {
    await using pulls = await openPulls(transport)
    const { receipt } = await pulls.pull("full", { kind: "early", landsAfterMillis: 20 })
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_BYTES_DIFFER"])
  })

  test(`${transport.name}: full catches a completion that passed only the first bytes of its data`, async () => {
    await using pulls = await openPulls(transport)
    const bytes = tokens * 3 * 2 * 2 * 8 * 4
    const { receipt } = await pulls.pull("full", {
      kind: "early",
      landsAfterMillis: 20,
      landedBytes: bytes - 16,
    })
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_BYTES_DIFFER"])
    assert.deepEqual(receipt.integrity.verdict, "different")
  })

  test(`${transport.name}: none and epoch cannot see a flipped bit: "delivered" then speaks of the lease only, and the receipt says so`, async () => {
    await using pulls = await openPulls(transport)
    for (const level of ["none", "epoch"] as const) {
      const { receipt, right } = await pulls.pull(level, { kind: "corrupt", byte: 7, bit: 1 })
      assert.deepEqual([receipt.state, right], ["delivered", false])
      assert.deepEqual([receipt.integrity.checked, receipt.integrity.verdict], [0, verdicts[level]])
    }
  })

  test(`${transport.name}: a fabric that reorders or delays changes nothing`, async () => {
    await using pulls = await openPulls(transport)
    for (const fault of [{ kind: "reorder" }, { kind: "delay", millis: 5 }] as const) {
      const { receipt, right } = await pulls.pull("full", fault)
      assert.deepEqual([receipt.state, right], ["delivered", true])
    }
  })
}

test("sampled catches a damage as often as it draws the damaged unit, and says how many it compared", async () => {
  let [caught, missed] = [0, 0]
  await using pair = await openPair([transports[0]!])
  const peer = await pair.target.agent.connect(pair.address, 5000)
  for (let round = 0; round < 60; round++) {
    const { lease } = lendRandom(pair.source, tokens)
    const options = pullOf(lease, tokens, pair.target, {
      integrity: "sampled",
      onLanded: (sequence) => void plantFault(sequence, { fault: "float-off", layer: 1, block: 2 }),
    })
    const receipt = await pair.target.agent.pull(peer, options).receipt
    pair.target.pool.allocator.release(options.into)
    assert.equal(receipt.integrity.checked, 3)
    if (receipt.state === "delivered") missed += 1
    else {
      caught += 1
      assert.deepEqual(receipt.integrity.firstDifference, { layer: 1, block: 2 })
    }
  }
  // One unit of six is drawn in its layer: 10 of 60 are expected, none or all has a chance below 1 in 50,000.
  assert.ok(caught > 0 && missed > 0, `${caught} caught, ${missed} missed`)
})

for (const fault of Object.keys(faults) as Fault[]) {
  test(`full catches ${fault}: ${faults[fault]}`, async () => {
    await using pair = await openPair([transports[0]!])
    const { lease } = lendRandom(pair.source, tokens)
    const peer = await pair.target.agent.connect(pair.address, 5000)
    fillRandom(pair.target)
    const receipt = await pair.target.agent.pull(
      peer,
      pullOf(lease, tokens, pair.target, {
        onLanded: (sequence) => assert.ok(plantFault(sequence, { fault }, 31).possible),
      }),
    ).receipt
    assert.deepEqual([receipt.state, receipt.error?.code], ["failed", "KV_BYTES_DIFFER"])
  })
}

for (const transport of transports) {
  test(`${transport.name}: what was written wrong is never landed, at its owner either: the lease ends as given back`, async () => {
    await using pair = await openPair([transport], { source: { offers: { read: true, write: true } } })
    const peer = await pair.target.agent.connect(pair.address, 5000)
    fillRandom(pair.target)
    const from = pair.target.pool.allocator.allocate(6)
    for (const level of ["sampled", "full"] as const) {
      const push = async () => {
        const { lease, ends } = lendBlocks(pair.source, tokens, { access: "write" })
        const options = { lease, from, tokens, integrity: level }
        const { state, error } = await pair.target.agent.push(peer, options).receipt
        while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
        return { end: [state, error?.code], ends }
      }
      assert.deepEqual(await push(), { end: ["delivered", undefined], ends: ["landed"] })
      // The blocks were sealed; all that they hold changes now, without a word.
      for (const span of pair.target.pool.spans) {
        const view = span.view(0, span.byteLength)
        for (let at = 0; at < view.length; at++) view[at]! ^= 1
      }
      const wrong = await push()
      assert.deepEqual(wrong, { end: ["failed", "KV_BYTES_DIFFER"], ends: ["released"] }, level)
      // Another sequence's from now on: sealed anew.
      pair.target.pool.allocator.release(from)
      assert.deepEqual([...pair.target.pool.allocator.allocate(6)], [...from])
    }
  })
}

test("no level catches what happens after the end: a late duplicate lands in blocks that were delivered right", async () => {
  await using pulls = await openPulls(transports[0]!)
  const { receipt, right } = await pulls.pull("full", { kind: "duplicate", afterMillis: 10 })
  assert.deepEqual([receipt.state, right], ["delivered", true])
})

test("a floor holds for every transfer, whatever it asks for", async () => {
  await using pair = await openPair([transports[0]!], { target: { integrityFloor: "sampled" } })
  const peer = await pair.target.agent.connect(pair.address, 5000)
  for (const [asked, used] of [
    ["none", "sampled"],
    ["full", "full"],
  ] as const) {
    const { lease } = lendRandom(pair.source, 40)
    const pull = pullOf(lease, 40, pair.target, { integrity: asked })
    assert.equal((await pair.target.agent.pull(peer, pull).receipt).integrity.level, used)
  }
})
