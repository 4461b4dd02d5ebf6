import { KvError } from "../../errors/kv-error.ts"
import { ControlMemory } from "../control-memory.ts"
import { libcAbi } from "../ffi/libc-abi.ts"
import { libfabricAbi as abi } from "../ffi/libfabric-abi.ts"
import { peek32, peek64, peekHalves, peekText, poke32, poke64 } from "./fields.ts"
import { fabricErrorText, type Libfabric } from "./library.ts"

/** What is asked of `fi_getinfo`. */
export interface OfferQuestion {
  /** A provider by libfabric's name for it, such as `tcp` or `verbs;ofi_rxm`. */
  readonly provider: string
  /** Numeric address to listen on, for providers that have such. */
  readonly host?: string
  /** Modes of memory registration that we can do, as bits. */
  readonly mrModes: number
  /** True to ask for progress by our own calls alone, so that the provider starts no threads. */
  readonly manualProgress: boolean
  /** Whether the provider's completion queues have a descriptor (`FI_WAIT_FD`): it does not say so itself. */
  readonly waits: boolean
}

/** One way that a provider offers: a NIC, or an address. Plain numbers and words, out of a `struct fi_info`. */
export interface FabricOffer {
  /** The `fi_info` itself, alive until `freeOffers`. */
  readonly info: number
  readonly provider: string
  readonly domain: string
  readonly fabric: string
  readonly mrMode: number
  readonly keyBytes: number
  readonly messageBytesMax: number
  /** Requests that an endpoint takes at once. */
  readonly queueSize: number
  readonly addressFormat: number
  /** The IPv4 address that it stands at; undefined where it has another kind. */
  readonly sourceAddress: string | undefined
  /** True when it is ready for memory of accelerators (`FI_HMEM`), which changes how it moves other memory. */
  readonly acceleratorMemory: boolean
  /** True when its completion queues have a descriptor to wait on. Said by whoever knows the provider. */
  readonly waits: boolean
}

/** What `fi_getinfo` answered. */
export interface Offers {
  readonly offers: readonly FabricOffer[]
  /** The answer in words when there is none: `No data available (-61)`. */
  readonly refusal: string
  /** Gives the list back to libfabric. */
  free(): void
}

/** Asks libfabric what a provider offers here. An answer without offers is no error. */
export function askOffers(library: Libfabric, question: OfferQuestion): Offers {
  const { c } = library
  using memory = new ControlMemory(4096)
  const hints = c.fi_dupinfo(0)
  if (hints === 0) throw new KvError("KV_OS", { what: "libfabric has no memory for a question" })
  const answer = memory.take(8)
  const provider = text(memory, question.provider)
  const nameField = peek64(hints + abi["fi_info.fabric_attr"]) + abi["fi_fabric_attr.prov_name"]
  try {
    const domain = peek64(hints + abi["fi_info.domain_attr"])
    poke64(hints + abi["fi_info.caps"], abi.FI_MSG | abi.FI_RMA)
    poke64(hints + abi["fi_info.mode"], BigInt(abi.FI_CONTEXT) | BigInt(abi.FI_CONTEXT2))
    poke32(peek64(hints + abi["fi_info.ep_attr"]) + abi["fi_ep_attr.type"], abi.FI_EP_RDM)
    poke32(domain + abi["fi_domain_attr.mr_mode"], question.mrModes)
    poke32(domain + abi["fi_domain_attr.threading"], abi.FI_THREAD_SAFE)
    if (question.manualProgress) {
      poke32(domain + abi["fi_domain_attr.control_progress"], abi.FI_PROGRESS_MANUAL)
      poke32(domain + abi["fi_domain_attr.data_progress"], abi.FI_PROGRESS_MANUAL)
    }
    poke64(nameField, provider)
    const host = question.host === undefined ? 0 : text(memory, question.host)
    const flags = host === 0 ? 0 : abi.FI_SOURCE
    const result = c.fi_getinfo(library.apiVersion, host, 0, flags, hints, answer.address)
    const first = result < 0 ? 0 : peek64(answer.address)
    const free = (): void => {
      if (first !== 0) c.fi_freeinfo(first)
    }
    return {
      offers: [...listed(first, question.waits)],
      refusal: result < 0 ? fabricErrorText(library, result) : "",
      free,
    }
  } finally {
    // Ours, not the library's: it would free it with its own allocator.
    poke64(nameField, 0)
    c.fi_freeinfo(hints)
  }
}

function text(memory: ControlMemory, value: string): number {
  const bytes = Buffer.from(`${value}\0`, "utf8")
  const block = memory.take(bytes.byteLength)
  block.u8.set(bytes)
  return block.address
}

function* listed(first: number, waits: boolean): Generator<FabricOffer> {
  for (let info = first; info !== 0; info = peek64(info + abi["fi_info.next"])) {
    const domain = peek64(info + abi["fi_info.domain_attr"])
    const fabric = peek64(info + abi["fi_info.fabric_attr"])
    const endpoint = peek64(info + abi["fi_info.ep_attr"])
    yield {
      info,
      provider: peekText(fabric + abi["fi_fabric_attr.prov_name"]),
      domain: peekText(domain + abi["fi_domain_attr.name"]),
      fabric: peekText(fabric + abi["fi_fabric_attr.name"]),
      mrMode: peek32(domain + abi["fi_domain_attr.mr_mode"]),
      keyBytes: peek64(domain + abi["fi_domain_attr.mr_key_size"]),
      messageBytesMax: Math.min(2 ** 30, peek64(endpoint + abi["fi_ep_attr.max_msg_size"])),
      queueSize: peek64(peek64(info + abi["fi_info.tx_attr"]) + abi["fi_tx_attr.size"]),
      addressFormat: peek32(info + abi["fi_info.addr_format"]),
      sourceAddress: ipv4Of(info),
      acceleratorMemory: (peekHalves(info + abi["fi_info.caps"]).high & (abi.FI_HMEM / 2 ** 32)) !== 0,
      waits,
    }
  }
}

function ipv4Of(info: number): string | undefined {
  const source = peek64(info + abi["fi_info.src_addr"])
  if (peek32(info + abi["fi_info.addr_format"]) !== abi.FI_SOCKADDR_IN || source === 0) return undefined
  const address = peek32(source + libcAbi["sockaddr_in.sin_addr"])
  return [0, 8, 16, 24].map((shift) => (address >>> shift) & 255).join(".")
}
