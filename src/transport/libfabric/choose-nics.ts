import type { RdmaSettings } from "../../config/rdma-settings.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { RdmaDevice } from "../../os/rdma-devices.ts"

/** What an operator wants of the NICs. */
export interface NicWishes
  extends Pick<RdmaSettings, "devices" | "excludedDevices" | "numa" | "railWeights"> {
  readonly rails: number
  /** A rail for each NIC that is left, however many rails were asked for. */
  readonly everyNic?: boolean
}

/** What the kernel says of a NIC. */
type KnownDevice = Pick<RdmaDevice, "name" | "numaNode" | "ports">

/**
 * The domain of each rail, out of those that a provider offers: one for each NIC that was named, in that order; else one for
 * each NIC that is left, or as many as rails were asked for, round and round those.
 *
 * @throws KvError KV_USAGE for a NIC that is not offered, or stands elsewhere; KV_TRANSPORT_UNAVAILABLE when none is left.
 */
export function chooseNics(
  provider: string,
  domains: readonly string[],
  { rails, everyNic = false, devices, excludedDevices, numa }: NicWishes,
  known: readonly KnownDevice[],
): string[] {
  const elsewhere = (domain: string): number | undefined => {
    const node = known.find(({ name }) => isDevice(domain, name))?.numaNode
    return numa === undefined || node === numa ? undefined : node
  }
  if (devices !== undefined) {
    return devices.map((device) => {
      const found = domains.find((domain) => isDevice(domain, device))
      const node = found === undefined ? undefined : elsewhere(found)
      if (found !== undefined && node === undefined) return found
      throw new KvError("KV_USAGE", {
        what:
          found === undefined
            ? `${provider} offers no device ${JSON.stringify(device.slice(0, 40))}`
            : `the device ${device} was asked for, and it stands at NUMA node ${node}, and node ${numa} was asked for`,
        ...(found === undefined ? { why: `it offers ${domains.join(", ")}` } : {}),
        next:
          found === undefined ? "name devices of that list in --devices" : "leave out one of the two wishes",
      })
    })
  }
  const allowed = domains.filter((domain) => !excludedDevices.some((device) => isDevice(domain, device)))
  const usable = allowed.filter((domain) => elsewhere(domain) === undefined)
  if (usable.length === 0) {
    const why = allowed.length === 0 ? "each of them is excluded" : `none of them stands at NUMA node ${numa}`
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `${provider} offers ${domains.join(", ")}, and ${why}`,
      next: allowed.length === 0 ? "exclude fewer devices" : "ask for another node, or for none",
    })
  }
  if (everyNic) return usable
  // More rails than NICs: they share.
  return Array.from({ length: rails }, (_, rail) => usable[rail % usable.length]!)
}

/**
 * How fast each of these rails is beside the fastest: by the weights that were given, else by line rate where all NICs tell theirs.
 * Rails of one NIC share it.
 */
export function nicRates(
  domains: readonly string[],
  { railWeights }: Pick<NicWishes, "railWeights">,
  known: readonly KnownDevice[],
): number[] {
  const told = domains.map((domain) => {
    if (railWeights !== undefined)
      return railWeights.find(({ device }) => isDevice(domain, device))?.weight ?? 1
    const rate = lineRate(known.find(({ name }) => isDevice(domain, name)))
    return rate === undefined ? undefined : rate / domains.filter((other) => other === domain).length
  })
  const rates = told.filter((rate) => rate !== undefined)
  if (rates.length < told.length) return told.map(() => 1)
  const fastest = Math.max(...rates)
  return rates.map((rate) => rate / fastest)
}

const lineRate = (device: KnownDevice | undefined): number | undefined =>
  device?.ports.find(({ state }) => state === "ACTIVE")?.gigabits

/** EFA calls a domain `rdmap16s27-rdm`, verbs by the device alone. */
function isDevice(domain: string, device: string): boolean {
  return domain === device || domain.replace(/-(rdm|dgrm|direct)$/, "") === device
}
