import { KvError } from "../../errors/kv-error.ts"
import type { GidEntry, RdmaPort } from "../../os/rdma-devices.ts"
import { gidKind, gidText, ipv4Of, networkOf } from "./gid-text.ts"

/** An index that somebody asked for, and who: `--gid-index`, `MC_GID_INDEX`, `NCCL_IB_GID_INDEX`. */
export interface GidOverride {
  readonly index: number
  readonly origin: string
}

/** The address that a rail uses, with what is printed about it. */
export interface ChosenGid {
  readonly index: number
  /** 32 hexadecimal digits. */
  readonly gid: string
  readonly type: GidEntry["type"]
  /** One line: the index, the address, its kind, and why it was chosen. */
  readonly why: string
  /** True where packets carry a global header: always on Ethernet; on InfiniBand only between subnets. */
  readonly global: boolean
  /** What two rails must have in common to talk: link layer, version and family of the address. */
  readonly link: string
  /** The network the address stands in: rails of one network are joined first. */
  readonly network: string
}

/** Interfaces of containers and virtual machines: their addresses lead nowhere on the fabric, so they come last. */
const overlay = /^(?:docker|cni|flannel|virbr|cali|kube|podman|br-)/

/**
 * Chooses the GID of a port. RoCE v2 before v1; of each an IPv4 address, then a global IPv6 one, then a link-local one; of equals
 * the lowest index. On InfiniBand the first: packets go by LID there.
 *
 * @param prefixBits the length of the network's prefix of a local address, as the interface has it; undefined where unknown.
 * @throws KvError KV_USAGE for an index that was asked for and is not in the table, which it names; KV_TRANSPORT_UNAVAILABLE for a
 *   port without any.
 */
export function chooseGid(
  device: string,
  { port, linkLayer, gids }: RdmaPort,
  override?: GidOverride,
  prefixBits: (address: string) => number | undefined = () => undefined,
): ChosenGid {
  const name = `${device} port ${port}`
  const [best] = gids.toSorted((a, b) => rank(a) - rank(b) || a.index - b.index)
  if (best === undefined) {
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `${name} has no GID`,
      why:
        linkLayer === "Ethernet" ? "its network interface has no address, or is down" : "its table is empty",
      next: "give the interface an address and set it up (`ip addr`, `ip link set … up`)",
    })
  }
  const asked = override === undefined ? undefined : gids.find(({ index }) => index === override.index)
  if (override !== undefined && asked === undefined) {
    throw new KvError("KV_USAGE", {
      what: `${override.origin} asks for GID index ${override.index}, which ${name} does not have`,
      why: `its table: ${gids.map(entryText).join("; ")}`,
      next: `ask for one of these, or leave ${override.origin} out`,
    })
  }
  const chosen = asked ?? best
  const kind = gidKind(chosen.gid)
  const ethernet = linkLayer === "Ethernet"
  return {
    index: chosen.index,
    gid: chosen.gid,
    type: chosen.type,
    why: `GID index ${entryText(chosen)}: ${reason(chosen, gids, asked === undefined ? undefined : override)}`,
    global: ethernet,
    // Versions are not mixed, and an IPv4 address is not reached from an IPv6 one. A subnet of InfiniBand is its prefix.
    link: ethernet
      ? `${chosen.type} over ${kind === "IPv4" ? "IPv4" : "IPv6"}`
      : `${linkLayer} ${networkOf(chosen.gid, 64)}`,
    network: ethernet ? ethernetNetwork(chosen, kind, prefixBits) : networkOf(chosen.gid, 64),
  }
}

/** `3 (::ffff:10.77.0.1, RoCE v2, rail0)` */
export function entryText({ index, gid, type, netdev }: GidEntry): string {
  return `${index} (${gidText(gid)}, ${type}${netdev === undefined ? "" : `, ${netdev}`})`
}

function rank({ gid, type, netdev }: GidEntry): number {
  if (type === "InfiniBand") return 0
  const kinds = { IPv4: 0, "global IPv6": 1, "link-local IPv6": 2 }
  return kinds[gidKind(gid)] + (type === "RoCE v2" ? 0 : 3) + (overlay.test(netdev ?? "") ? 6 : 0)
}

function reason(chosen: GidEntry, gids: readonly GidEntry[], override: GidOverride | undefined): string {
  if (override !== undefined) return `asked for by ${override.origin}`
  if (chosen.type === "InfiniBand") return "packets go by LID on InfiniBand"
  const kind = gidKind(chosen.gid)
  const words = {
    IPv4: "an IPv4 address",
    "global IPv6": "a global IPv6 address",
    "link-local IPv6": "a link-local address",
  }
  const only = gids.length === 1 ? ", and the only one" : ""
  const last = kind === "link-local IPv6" ? " (no better one: a router does not pass it)" : ""
  return `${chosen.type} with ${words[kind]}${only}${last}`
}

function ethernetNetwork(
  { gid }: GidEntry,
  kind: ReturnType<typeof gidKind>,
  prefixBits: (address: string) => number | undefined,
): string {
  if (kind === "IPv4") return networkOf(gid, prefixBits(ipv4Of(gid)) ?? 32)
  // Every wire has this prefix: that two rails stand on one cannot be told from it.
  if (kind === "link-local IPv6") return `the wire of ${gidText(gid)}`
  return networkOf(gid, prefixBits(gidText(gid)) ?? 64)
}
