/** Plan once, post many times; a cancelled ticket; an error with its code and its receipt. */
import { KvError, openAgent, TicketFailed } from "kvferry"
import { fill, layout } from "./layout.mjs"

const tokens = 64
const prefill = await openAgent({ name: "prefill" })
const decode = await openAgent({ name: "decode" })
try {
  const source = await prefill.registerCache({ layout })
  const target = await decode.registerCache({ layout })
  const blocks = source.allocate(tokens)
  fill(source, blocks)
  const lent = source.lend(blocks, { tokens })
  const peer = await target.connect(source.address)

  // The lease is kept alive until it is released.
  const lease = await target.claim(peer, lent.id)
  const read = target.prepareRead(lease, target.allocate(tokens), { integrity: "epoch" })
  for (let i = 0; i < 3; i++) {
    const { integrity, micros } = await read.post({ timeoutMillis: 5000 }).done
    console.log(`post ${i}: ${integrity.verdict}, planned in ${micros.plan} µs`)
  }

  const cancelled = read.post({ signal: AbortSignal.abort() })
  const receipt = await cancelled.receipt
  console.log(`cancelled: ${receipt.state}, ${receipt.error.code}`)

  await read[Symbol.asyncDispose]()
  await lease.release()
  try {
    await target.read(peer, { lease: lent.id, into: target.allocate(tokens) }).done
  } catch (error) {
    if (!(error instanceof TicketFailed && error instanceof KvError)) throw error
    console.log(`after the release: ${error.code}, ticket ${error.receipt.state}`)
  }
} finally {
  await decode[Symbol.asyncDispose]()
  await prefill[Symbol.asyncDispose]()
}
