import type { LeaseEnd } from "../../agent/lease-state.ts"
import { blocksFor } from "../../kv/kv-layout.ts"
import { fillSequence, scribble } from "../content.ts"
import type { Life } from "../node.ts"
import { allocated, giveBackWatched } from "./blocks.ts"
import type { Ledger } from "./ledger.ts"
import type { Lent } from "./lent.ts"
import type { RequestTraits } from "./traits.ts"
import { judgeLanded } from "./verdict.ts"

/** Longest that a claimed lease may outlast its offer: requests end, and their leases with them. Milliseconds. */
const heldMillisMost = 10_500

/** Lends a sequence to be read, or room to be filled. Returns undefined when the owner has no blocks left. */
export function lend(ledger: Ledger, name: string, life: Life, traits: RequestTraits): Lent | undefined {
  const { pool, agent, process } = life
  const { tokens, leaseMillis, withdrawMillis } = traits
  const blocks = allocated(life, blocksFor(tokens, pool.layout.blockTokens))
  if (blocks === undefined) return undefined
  const access = traits.kind.startsWith("push") ? "write" : "read"
  const filling = ledger.newFilling(`${name}, of ${access === "read" ? process.name : "its writer"}`)
  if (access === "read") fillSequence({ ...pool, blocks, tokens, filling })
  else scribble({ ...pool, blocks }, ledger.newFilling(`${name} before it was filled`))
  const began = { at: ledger.world.now, paused: process.pausedMillis }
  const onEnd = (why: LeaseEnd): void => {
    if (lent.ended !== undefined) ledger.world.broken("P4", process.name, `the lease of ${name} ended twice`)
    lent.ended = { why, at: ledger.world.now }
    ledger.world.note(process.name, `lease of ${name} ends: ${why}`)
    const lasted = ledger.world.now - began.at - (process.pausedMillis - began.paused)
    if (lasted > leaseMillis + heldMillisMost) {
      const what = `the lease of ${name} lasted ${lasted} ms, not ${leaseMillis}`
      ledger.world.broken("P7", process.name, what)
    }
    if (access === "read") {
      // The next owner has no patience.
      pool.allocator.release(blocks)
      scribble({ ...pool, blocks }, ledger.newFilling(`the next owner of the blocks of ${name}`))
      return
    }
    if (why === "landed") judgeLanded(ledger, lent, traits, blocks)
    giveBackWatched(ledger, life, blocks, `the lease of ${name} had ended (${why})`)
  }
  const lease = agent.lend({ blocks, tokens, access, lifetimeMillis: leaseMillis, onEnd })
  const lent: Lent = { name, life, lease, access, tokens, filling, ended: undefined }
  const room = access === "read" ? `filling ${filling}` : "to be filled"
  ledger.world.note(process.name, `lends ${name}: ${tokens} tokens, ${room}, lease ${lease.slice(0, 8)}`)
  if (withdrawMillis !== undefined) {
    process.later(withdrawMillis, () => {
      if (agent.withdraw(lease)) ledger.world.note(process.name, `took ${name} back`)
    })
  }
  return lent
}
