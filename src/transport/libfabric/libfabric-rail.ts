import { createHash, randomInt } from "node:crypto"
import { networkInterfaces } from "node:os"
import { KvError } from "../../errors/kv-error.ts"
import type { SharedSpan } from "../../memory/host-memory.ts"
import { libfabricAbi as abi } from "../../os/ffi/libfabric-abi.ts"
import { FabricDomain, type FabricRegion } from "../../os/libfabric/domain.ts"
import type { Libfabric } from "../../os/libfabric/library.ts"
import type { FabricOffer } from "../../os/libfabric/offers.ts"
import { kernelBootId, namespaceInode } from "../../os/proc.ts"
import { closeArena, mapArena, viewArena } from "../../os/shared-arena.ts"
import type { LocalLane, LocalRail, RailCard, Registration } from "../rdma/driver.ts"
import type { Rights } from "../transport.ts"
import type { PortStart } from "./lane-handle.ts"
import { LibfabricLane } from "./libfabric-lane.ts"
import { mrModeNames, type ProviderTraits } from "./providers.ts"

/** The page of a rail: its probe value first, then places that its own probes read into. */
const pageBytes = 64 * 1024
const probePlaceBytes = 64
/** Keys that are tried before a rail gives up to find a free one. */
const keyTries = 100

/** How a rail is opened. */
export interface RailOptions {
  readonly library: Libfabric
  readonly offer: FabricOffer
  readonly traits: ProviderTraits
  /** Requests that a lane may have under way. */
  readonly queueDepth: number
  /** How fast it is beside the other rails. */
  readonly rate: number
}

/**
 * One rail of libfabric: a NIC, or one endpoint's worth of sockets.
 *
 * Where the provider looks at keys and registering is cheap, it has a **domain for each set of rights**: a region is
 * registered in each with what both allow, and a lane lives in the domain of its session's rights. So a session that may
 * only read finds no key at all that can be written to. Elsewhere there is one domain, and regions protect themselves.
 */
export class LibfabricRail implements LocalRail {
  readonly card: RailCard
  readonly facts: Readonly<Record<string, string>>
  readonly messageBytesMax: number
  readonly registrationBytesMax = 2 ** 40
  readonly port: PortStart
  readonly #options: RailOptions
  readonly #domains: readonly FabricDomain[]
  readonly #page: SharedSpan
  readonly #value: { readonly valueLow: number; readonly valueHigh: number }
  /** The page's registrations, by domain. */
  #pages: FabricRegion[] = []
  #lanes = 0
  #closed = false

  /** @throws KvError KV_TRANSPORT_UNAVAILABLE, KV_OS. */
  constructor(options: RailOptions) {
    this.#options = options
    const { library, offer, traits, queueDepth } = options
    this.#page = mapArena(pageBytes)
    this.#value = fillProbe(this.#page)
    const domains: FabricDomain[] = []
    this.#domains = domains
    try {
      for (let place = 0; place < (traits.checksKeys ? rightsClasses.length : 1); place++) {
        domains.push(new FabricDomain(library, offer))
      }
      this.#pages = this.#registerAll(this.#page, () => ({ read: true, write: false }))
    } catch (thrown) {
      this.#close()
      throw thrown
    }
    this.messageBytesMax = offer.messageBytesMax
    this.card = {
      device: offer.domain,
      link: linkOf(options),
      network: networkOf(options),
      rate: options.rate,
    }
    this.port = {
      file: library.path,
      provider: offer.provider,
      copiesInCall: traits.copiesInCall,
      closesUnderWay: traits.crashesWhenClosed !== offer.provider,
      depth: Math.min(queueDepth, offer.queueSize),
      page: this.#page,
    }
    this.facts = factsOf(options)
  }

  async register(address: number, byteLength: number, access: Rights): Promise<Registration> {
    const regions = this.#registerAll({ address, byteLength }, (most) => ({
      read: access.read && most.read,
      write: access.write && most.write,
    }))
    return {
      localKey: regions[0]!.descriptor,
      remoteKey: regions.at(-1)!.key,
      iova: this.#virtual ? address : 0,
      localAddress: address,
      flags: flagsOf(access),
      close: async () => closeAll(regions),
    }
  }

  async openLane(rights: Rights): Promise<LocalLane> {
    const { offer } = this.#options
    const split = this.#domains.length > 1
    const place = split
      ? rightsClasses.findIndex((of) => of.read === rights.read && of.write === rights.write)
      : 0
    const page = this.#pages[place]!
    const places = pageBytes / probePlaceBytes - 1
    return new LibfabricLane(this.#domains[place]!.openEndpoint(), {
      provider: offer.provider,
      copiesInCall: this.#options.traits.copiesInCall,
      probeOffset: (1 + (this.#lanes++ % places)) * probePlaceBytes,
      probeDescriptor: page.descriptor,
      pageAddress: this.#page.address,
      probe: { address: this.#virtual ? this.#page.address : 0, key: page.key, ...this.#value },
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close()
  }

  get #virtual(): boolean {
    return (this.#options.offer.mrMode & abi.FI_MR_VIRT_ADDR) !== 0
  }

  /** Registers memory in every domain, under one key where the choice is ours: a descriptor has one for each rail. */
  #registerAll({ address, byteLength }: SharedSpan, accessFor: (most: Rights) => Rights): FabricRegion[] {
    for (let tries = 0; tries < keyTries; tries++) {
      // Random: a key of an earlier life of this process, or of another region, opens nothing.
      const wantedKey = randomInt(2 ** 32)
      const regions: FabricRegion[] = []
      try {
        for (const [place, domain] of this.#domains.entries()) {
          const most = this.#domains.length > 1 ? rightsClasses[place]! : allRights
          const region = domain.register(address, byteLength, accessFor(most), wantedKey)
          if (region !== undefined) regions.push(region)
        }
      } catch (thrown) {
        closeAll(regions)
        throw thrown
      }
      if (regions.length === this.#domains.length) return regions
      closeAll(regions)
    }
    throw new KvError("KV_LIMIT", { what: `${keyTries} random keys for a region were all in use` })
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    closeAll(this.#pages)
    for (const domain of this.#domains) domain[Symbol.dispose]()
    closeArena(this.#page)
  }
}

/** Each set of rights that a session may have; the last has them all, and its key is the region's. */
const rightsClasses: readonly Rights[] = [
  { read: false, write: false },
  { read: true, write: false },
  { read: false, write: true },
  { read: true, write: true },
]
const allRights: Rights = { read: true, write: true }

/** shm joins processes of one machine and one version alone: the layout of what they share is no standard. */
const linkOf = ({ offer, library }: RailOptions): string =>
  offer.provider === "shm" ? `shm ${library.version} on ${machineId()}` : offer.provider

/** The network that a NIC stands in: libfabric calls all of RoCE one, and NICs of different networks may not reach each other. */
function networkOf({ offer, traits }: RailOptions): string {
  if (!traits.railIsNic || offer.sourceAddress === undefined) return offer.fabric
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ address }) => address === offer.sourceAddress)
  if (own?.cidr == null) return offer.sourceAddress
  const mask = own.netmask.split(".").map(Number)
  const network = own.address.split(".").map((part, at) => Number(part) & mask[at]!)
  return `${network.join(".")}/${own.cidr.split("/")[1]}`
}

/** Eight digits that two processes have in common where one may see the other: one kernel, one pid namespace. */
const machineId = (): string =>
  createHash("sha256")
    .update(`${kernelBootId()} ${namespaceInode("pid")}`)
    .digest("hex")
    .slice(0, 8)

/** A random value at the start of the page, which only a read of this very page can know. */
function fillProbe(page: SharedSpan): { readonly valueLow: number; readonly valueHigh: number } {
  const { u32 } = viewArena(page)
  u32[0] = randomInt(2 ** 32)
  u32[1] = randomInt(2 ** 32)
  return { valueLow: u32[0], valueHigh: u32[1] }
}

function closeAll(regions: FabricRegion[]): void {
  for (const region of regions.splice(0)) region.close()
}

const flagsOf = (access: Rights): readonly string[] => [
  "FI_READ",
  "FI_WRITE",
  ...(access.read ? ["FI_REMOTE_READ"] : []),
  ...(access.write ? ["FI_REMOTE_WRITE"] : []),
]

function factsOf({ library, offer, traits }: RailOptions): Record<string, string> {
  return {
    provider: `${offer.provider}, over ${traits.medium}`,
    library: `libfabric ${library.version}${library.tested ? "" : ", with which kvferry was not tested"} (${library.path})`,
    domain: `${offer.domain} of ${offer.fabric}`,
    registration: `mr_mode ${mrModeNames(offer.mrMode)}; ${
      (offer.mrMode & abi.FI_MR_PROV_KEY) === 0 ? "random keys of ours" : "the provider's keys"
    }`,
    waits: traits.waits ? "on a descriptor of the completion queue" : "by looking again and again",
    writes: traits.copiesInCall
      ? "are there when the call returns"
      : "complete when they are visible (FI_DELIVERY_COMPLETE)",
  }
}
