import { KvError } from "../errors/kv-error.ts"
import type { Card } from "../wire/card.ts"

/**
 * Refuses a peer whose cache cannot be exchanged with ours, before any block is named.
 * @throws KvError KV_PEER_REFUSED with the first rule that forbids it.
 */
export function checkCard(ours: Card, theirs: Card): void {
  if (theirs.model !== ours.model) {
    throw refused(
      `the peer's model is ${theirs.model.slice(0, 16)}, ours is ${ours.model.slice(0, 16)}`,
      "model",
    )
  }
  for (const name of ["layers", "kvHeads", "headDim", "elementBytes"] as const) {
    const [mine, other] = [ours.layout.shape[name], theirs.layout.shape[name]]
    if (mine !== other) throw refused(`the peer's cache has ${name} ${other}, ours has ${mine}`, name)
  }
  const { firstHead, heads } = theirs.layout
  const common = Math.min(firstHead + heads, ours.layout.firstHead + ours.layout.heads)
  if (common <= Math.max(firstHead, ours.layout.firstHead)) {
    throw refused(
      `the peer holds heads ${firstHead} to ${firstHead + heads - 1}, we hold ${ours.layout.firstHead} to ${
        ours.layout.firstHead + ours.layout.heads - 1
      }`,
      "heads",
    )
  }
}

function refused(what: string, rule: string): KvError {
  return new KvError("KV_PEER_REFUSED", {
    what: `the two agents do not fit: ${what}`,
    why: `rule "${rule}": both sides must hold the cache of one model`,
    next: "start both workers with the same --model",
  })
}
