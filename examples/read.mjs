/** Two agents in one process: one lends a sequence, the other reads it and gets a receipt. */
import { openAgent } from "kvferry"
import { fill, layout, same } from "./layout.mjs"

const tokens = 200
const prefill = await openAgent({ name: "prefill" })
const decode = await openAgent({ name: "decode" })
try {
  const source = await prefill.registerCache({ layout })
  const target = await decode.registerCache({ layout })

  // The source computes a prompt's blocks, and promises not to reuse them.
  const blocks = source.allocate(tokens)
  fill(source, blocks)
  const lent = source.lend(blocks, { tokens })

  // The target learned `lent.id` and `source.address` with the request.
  const peer = await target.connect(source.address)
  const into = target.allocate(tokens)
  const ticket = target.read(peer, { lease: lent.id, into, integrity: "full", requestId: "request-1" })
  const receipt = await ticket.done

  console.log(
    `${receipt.state} over ${receipt.path.transport}: ${receipt.bytes} bytes, ${receipt.integrity.verdict}`,
  )
  console.log(
    `the lease ended: ${await lent.ended}; the same bytes: ${same(source, blocks[3], target, into[3])}`,
  )
  source.release(blocks)
} finally {
  await decode[Symbol.asyncDispose]()
  await prefill[Symbol.asyncDispose]()
}
