import type { FabricProvider } from "../../config/rdma-settings.ts"
import { KvError } from "../../errors/kv-error.ts"
import type { Libfabric } from "../../os/libfabric/library.ts"
import { askOffers, type FabricOffer, type Offers } from "../../os/libfabric/offers.ts"
import { machineFiles, rdmaClass, readRdmaDevices } from "../../os/rdma-devices.ts"
import { chooseNics, type NicWishes } from "./choose-nics.ts"
import { type ProviderTraits, providers } from "./providers.ts"

/** The provider that is used, and what each rail is opened from. */
export interface ChosenOffers {
  readonly name: FabricProvider
  readonly traits: ProviderTraits
  /** One for each rail. The same one several times, where rails share one way. */
  readonly offers: readonly FabricOffer[]
  free(): void
}

/** What the choice depends on. */
export interface ChoiceOptions extends NicWishes {
  readonly fabricProviders: readonly FabricProvider[]
  readonly host: string
}

/**
 * Asks for the providers of the policy, in its order, and takes the first that offers anything. Never another one.
 *
 * @throws KvError KV_TRANSPORT_UNAVAILABLE saying of each provider what was asked, what libfabric answered, and what the
 * machine has; KV_USAGE for a device that is not offered.
 */
export function chooseOffers(library: Libfabric, options: ChoiceOptions): ChosenOffers {
  const refusals: string[] = []
  for (const name of options.fabricProviders) {
    const traits = providers[name]
    const answer = askOffers(library, {
      provider: name,
      mrModes: traits.mrModes,
      manualProgress: true,
      waits: traits.waits,
      ...(traits.listensOnHost ? { host: options.host } : {}),
    })
    const named = answer.offers.filter(({ provider }) => traits.names.includes(provider))
    // shm of 2.x offers its way for accelerators first, and that one does not copy in the call.
    const plain = named.filter(({ acceleratorMemory }) => !acceleratorMemory)
    const fitting = plain.length > 0 || traits.copiesInCall ? plain : named
    if (fitting.length > 0) {
      return { name, traits, offers: railsOf(name, traits, fitting, options, answer), free: answer.free }
    }
    answer.free()
    refusals.push(refusal(name, answer))
  }
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `libfabric ${library.version} (${library.path}) offers none of ${options.fabricProviders.join(", ")} here`,
    why: refusals.join("; "),
    next: "--fabric-provider says which providers may be used, for example tcp; no other is taken in silence",
  })
}

function railsOf(
  name: FabricProvider,
  traits: ProviderTraits,
  fitting: readonly FabricOffer[],
  options: ChoiceOptions,
  answer: Offers,
): FabricOffer[] {
  if (!traits.railIsNic) return Array<FabricOffer>(options.rails).fill(fitting[0]!)
  const byDomain = new Map<string, FabricOffer>()
  for (const offer of fitting) if (!byDomain.has(offer.domain)) byDomain.set(offer.domain, offer)
  try {
    const domains = chooseNics(name, [...byDomain.keys()], options, readRdmaDevices())
    return domains.map((domain) => byDomain.get(domain)!)
  } catch (thrown) {
    answer.free()
    throw thrown
  }
}

function refusal(name: FabricProvider, { refusal, offers }: Offers): string {
  const answer =
    offers.length === 0
      ? `fi_getinfo answered ${refusal}`
      : `fi_getinfo offered only ${[...new Set(offers.map(({ provider }) => provider))].join(", ")}`
  if (name === "efa") return `efa: ${answer}, and ${devicesInWords("efa")}`
  if (name === "verbs;ofi_rxm") return `${name}: ${answer}, and ${devicesInWords()}${nodesInWords()}`
  return `${name}: ${answer}`
}

/** The RDMA devices that the kernel lists, for somebody who looks for one of `driver`, or of any. */
function devicesInWords(driver?: string): string {
  const devices = readRdmaDevices()
  if (devices.length === 0) return `${rdmaClass} lists no RDMA device`
  const found = devices.map((device) => `${device.name} (driver ${device.driver ?? "none: software"})`)
  return `${rdmaClass} has ${found.join(", ")}${driver === undefined ? "" : `, and none of driver ${driver}`}`
}

/** A container may see a device in /sys that it was not given. */
function nodesInWords(): string {
  const nodes = machineFiles.list("/dev/infiniband")?.filter((node) => node.startsWith("uverbs"))
  if (nodes === undefined) return "; /dev/infiniband is not there"
  return `; /dev/infiniband has ${nodes.length === 0 ? "no uverbs device" : nodes.join(", ")}`
}
