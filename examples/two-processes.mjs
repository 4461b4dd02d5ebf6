/** Source and target as two processes: the parent is the target, and starts the source. */
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { openAgent } from "kvferry"
import { fill, layout } from "./layout.mjs"

const tokens = 300

if (process.send === undefined) await target()
else await source()

async function source() {
  const agent = await openAgent({ name: "prefill" })
  const cache = await agent.registerCache({ layout })
  const blocks = cache.allocate(tokens)
  fill(cache, blocks)
  const lent = cache.lend(blocks, { tokens })
  process.send({ address: cache.address, lease: lent.id })
  await lent.ended
  await agent[Symbol.asyncDispose]()
  process.disconnect()
}

async function target() {
  const child = fork(fileURLToPath(import.meta.url))
  const { address, lease } = await new Promise((resolve) => child.once("message", resolve))
  const agent = await openAgent({ name: "decode" })
  const cache = await agent.registerCache({ layout })
  const peer = await cache.connect(address)
  const receipt = await cache.read(peer, { lease, into: cache.allocate(tokens) }).done
  console.log(`${receipt.state} from pid ${receipt.source.pid === child.pid ? "of the child" : "unknown"}`)
  console.log(`${receipt.path.transport}, ${receipt.integrity.verdict}`)
  await agent[Symbol.asyncDispose]()
}
