import { blocksFor } from "../../kv/kv-layout.ts"
import { fillSequence, scribble } from "../content.ts"
import { allocated } from "./blocks.ts"
import { type Errand, endOf, receiptInTime } from "./reading.ts"
import { judgeReceipt } from "./verdict.ts"

/** Claims room at its owner, fills it from blocks of this side, and has it proven: one ticket. */
export async function push(errand: Errand): Promise<string> {
  const { ledger, life, lent, traits, peer } = errand
  const { pool, agent, process } = life
  const { name, tokens, filling } = lent
  const from = allocated(life, blocksFor(tokens, pool.layout.blockTokens))
  if (from === undefined) return "no blocks at the holder"
  fillSequence({ ...pool, blocks: from, tokens, filling })
  const ticket = agent.push(peer, {
    requestId: name,
    lease: lent.lease,
    from,
    tokens,
    integrity: traits.integrity,
    timeoutMillis: traits.timeoutMillis,
    note: `note ${name}`,
  })
  const receipt = await receiptInTime(errand, ticket)
  if (receipt.state === "delivered") {
    if (lent.ended?.why !== "landed") {
      const end = lent.ended?.why ?? "not over"
      ledger.world.broken("P1", process.name, `${name} is delivered, and for its owner the lease is ${end}`)
    }
    judgeReceipt(ledger, life, lent, traits, receipt)
  }
  // The blocks are reused at once: what still reads them is convicted by what it carries.
  scribble({ ...pool, blocks: from }, ledger.newFilling(`${process.name} after the end of ${name}`))
  pool.allocator.release(from)
  return `push ${endOf(receipt)}`
}
