import { KvError } from "../errors/kv-error.ts"
import type { Card } from "../wire/card.ts"
import type { Grant, GrantDirection } from "../wire/grant.ts"

/**
 * Refuses a grant that is not what was asked for: of another life of the peer, of another direction, or without a
 * region for each layer.
 * @param card the granter's, from the handshake.
 * @throws KvError KV_PEER_REFUSED with the rule.
 */
export function checkGrant(card: Card, direction: GrantDirection, grant: Grant): void {
  if (grant.bootId !== card.bootId) {
    throw refused(
      `it is of boot ${grant.bootId.slice(0, 12)}, the peer of boot ${card.bootId.slice(0, 12)}`,
      "boot",
    )
  }
  if (grant.direction !== direction)
    throw refused(`a ${direction} was asked for, and a ${grant.direction} granted`, "direction")
  const regions = grant.regions.filter((region) => region !== card.epochs?.region).length
  const { layers } = card.layout.shape
  if (regions !== layers) throw refused(`it has ${regions} regions for ${layers} layers`, "regions")
}

function refused(what: string, rule: string): KvError {
  return new KvError("KV_PEER_REFUSED", {
    what: `the peer's grant cannot be used: ${what}`,
    why: `rule "${rule}" of a grant`,
    next:
      rule === "regions"
        ? "check which regions the trust file of the other side grants"
        : "report this: the peer answers another question than the one it was asked",
  })
}
