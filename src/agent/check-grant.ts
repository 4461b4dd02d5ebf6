import { KvError } from "../errors/kv-error.ts"
import { layerBytes } from "../kv/kv-layout.ts"
import { epochBytes } from "../memory/kv-pool.ts"
import type { Card } from "../wire/card.ts"
import type { Grant, GrantDirection } from "../wire/grant.ts"

/**
 * Refuses a grant that is not what was asked for: of another life of the peer, of another direction, without a region
 * for each layer of its card (and one for the stamps, to read them), or with one that is too small for the card.
 * @param card the granter's, from the handshake.
 * @throws KvError KV_PEER_REFUSED with the rule.
 */
export function checkGrant(card: Card, direction: GrantDirection, grant: Grant): void {
  if (grant.bootId !== card.bootId) {
    const life = (bootId: string): string => `boot ${bootId.slice(0, 12)}`
    throw refused(`it is of ${life(grant.bootId)}, the peer of ${life(card.bootId)}`, "boot")
  }
  if (grant.direction !== direction)
    throw refused(`a ${direction} was asked for, and a ${grant.direction} granted`, "direction")
  const stamps = card.epochs?.region
  const regions = grant.regions.filter((region) => region !== stamps).length
  const { layout } = card
  const { layers } = layout.shape
  if (regions !== layers) throw refused(`it has ${regions} regions for ${layers} layers`, "regions")
  if (direction === "read" && stamps !== undefined && !grant.regions.includes(stamps))
    throw refused(`region ${stamps} is missing, which holds the stamps`, "regions")
  for (const endpoint of grant.endpoints) {
    for (const { region, length } of endpoint.regions) {
      const wanted = region === stamps ? layout.blocks * epochBytes : layerBytes(layout)
      if (length >= wanted) continue
      const text = `region ${region} has ${length} bytes over ${endpoint.address.transport}, its card wants ${wanted}`
      throw refused(text, "length")
    }
  }
}

function refused(what: string, rule: string): KvError {
  return new KvError("KV_PEER_REFUSED", {
    what: `the peer's grant cannot be used: ${what}`,
    why: `rule "${rule}" of a grant`,
    next:
      {
        boot: "connect again: it may have restarted",
        regions: "check which regions the trust file of the other side grants",
      }[rule] ?? "report this: the peer's grant is not the one that its card and our question call for",
  })
}
