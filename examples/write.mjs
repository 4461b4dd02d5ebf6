/** The prefill side pushes its blocks into a cache that was opened for writing, with a note that arrives behind them. */
import { openAgent } from "kvferry"
import { fill, layout, same } from "./layout.mjs"

const tokens = 100
const notices = []
const prefill = await openAgent({ name: "prefill" })
const decode = await openAgent({
  name: "decode",
  offers: { read: true, write: true },
  onNotice: ({ from, text }) => notices.push(`${from} says: ${text}`),
})
try {
  const source = await prefill.registerCache({ layout })
  const target = await decode.registerCache({ layout })

  // The target offers empty blocks.
  const into = target.allocate(tokens)
  const lent = target.lend(into, { tokens, access: "write" })

  const from = source.allocate(tokens)
  fill(source, from)
  const peer = await source.connect(target.address)
  const ticket = source.write(peer, { lease: lent.id, from, tokens, note: "request-2 is ready" })
  const receipt = await ticket.done

  console.log(
    `${receipt.direction} ${receipt.state}, ${receipt.integrity.checked} hashes compared by the target`,
  )
  console.log(`the lease ended: ${await lent.ended}; ${notices.join("; ")}`)
  console.log(`the same bytes: ${same(source, from[0], target, into[0])}`)
} finally {
  await prefill[Symbol.asyncDispose]()
  await decode[Symbol.asyncDispose]()
}
