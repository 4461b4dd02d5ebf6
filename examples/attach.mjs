/** Using a peer's blocks in place: nothing is copied, and the stamps are looked at again at the end. */
import { openAgent } from "kvferry"
import { fill, layout } from "./layout.mjs"

const tokens = 64
const prefill = await openAgent({ name: "prefill", paths: ["shm"] })
const decode = await openAgent({ name: "decode", paths: ["shm"], require: ["shm"] })
try {
  const source = await prefill.registerCache({ layout })
  const target = await decode.registerCache({ layout })
  const blocks = source.allocate(tokens)
  fill(source, blocks)
  const lent = source.lend(blocks, { tokens })

  const peer = await target.connect(source.address)
  const lease = await target.claim(peer, lent.id)
  const prepared = await target.prepareAttach(lease, { integrity: "epoch" })

  const attachment = await prepared.attach({ requestId: "request-3" })
  const { spans, blocks: theirs } = attachment.sequence
  const { byteLength } = spans[0]
  const firstByte = spans[0].view(theirs[0] * (byteLength / layout.blocks), 1)[0]
  await attachment.release()

  const receipt = await attachment.ticket.done
  console.log(`${receipt.mode} ${receipt.state}: ${receipt.integrity.verdict}, ${receipt.bytes} bytes copied`)
  console.log(`the first byte is ${firstByte}`)
  await prepared[Symbol.asyncDispose]()
  await lease.release()
} finally {
  await decode[Symbol.asyncDispose]()
  await prefill[Symbol.asyncDispose]()
}
