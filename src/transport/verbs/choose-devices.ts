import { KvError } from "../../errors/kv-error.ts"
import { byNumber, type RdmaDevice, type RdmaPort } from "../../os/rdma-devices.ts"

/** A device by name, and its port where that matters: `mlx5_0`, `mlx5_1:1`. */
export interface DeviceName {
  readonly device: string
  readonly port?: number
}

/** How rails are chosen. Nothing here asks for a GPU: host memory has none. */
export interface DeviceWishes {
  /** By hand, in this order. Every one must be there and active. */
  readonly devices?: readonly DeviceName[]
  /** Only devices at this NUMA node, and those that do not say where they stand. */
  readonly numa?: number
  /** How many rails: fewer than there are ports takes the first, more goes round again. Absent: one for each port. */
  readonly rails?: number
}

/** A port that becomes a rail. */
export interface RailPort {
  readonly device: RdmaDevice
  readonly port: RdmaPort
}

/** What was chosen, and what was not, with the reason for each. */
export interface ChosenDevices {
  readonly rails: readonly RailPort[]
  readonly excluded: readonly { readonly name: string; readonly why: string }[]
}

/** @throws KvError KV_USAGE naming the part that is none. */
export function parseDeviceNames(text: string, option: string): DeviceName[] {
  return text.split(",").map((part) => {
    const found = /^([A-Za-z0-9_.-]{1,63})(?::(\d{1,3}))?$/.exec(part.trim())
    const port = found?.[2] === undefined ? undefined : Number(found[2])
    if (found === null || port === 0) {
      throw new KvError("KV_USAGE", {
        what: `${option} has a part that names no device: ${JSON.stringify(part.slice(0, 80))}`,
        next: "give names with commas between them, each with a port if it matters: mlx5_0,mlx5_1:1",
      })
    }
    return { device: found[1]!, ...(port === undefined ? {} : { port }) }
  })
}

/**
 * Chooses the ports that become rails.
 *
 * Without wishes: every active port that this transport can use, devices in the order of their numbers.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE naming every device and why it is left out; KV_USAGE for a device that was asked for
 *   and cannot be had.
 */
export function chooseDevices(devices: readonly RdmaDevice[], wishes: DeviceWishes = {}): ChosenDevices {
  const sorted = devices.toSorted((a, b) => byNumber(a.name, b.name))
  const ports = sorted.flatMap((device) => device.ports.map((port) => ({ device, port })))
  const { chosen, excluded } =
    wishes.devices === undefined
      ? byItself(sorted, ports, wishes)
      : byHand(sorted, ports, wishes.devices, wishes)
  if (chosen.length === 0) {
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: "no RDMA port of this machine can be used",
      why:
        excluded.length === 0
          ? "the kernel knows no RDMA device"
          : excluded.map(({ name, why }) => `${name}: ${why}`).join("; "),
      next: "`kvferry explain` shows what is missing on this machine",
    })
  }
  const count = wishes.rails ?? chosen.length
  return { rails: Array.from({ length: count }, (_, rail) => chosen[rail % chosen.length]!), excluded }
}

/**
 * How fast the rails are beside each other, in Gb/s: rails of one port share its rate.
 *
 * Undefined unless every port has a rate of its own; then nobody knows, and all rails are taken to be alike. Soft-RoCE's is a constant.
 */
export function railRates(rails: readonly RailPort[]): number[] | undefined {
  const rates = rails.map(({ port }) => {
    const sharing = rails.filter((other) => other.port === port).length
    return port.gigabits === undefined ? 0 : port.gigabits / sharing
  })
  return rates.every((rate) => rate > 0) ? rates : undefined
}

interface Sorted {
  readonly chosen: readonly RailPort[]
  readonly excluded: readonly { readonly name: string; readonly why: string }[]
}

function byItself(
  devices: readonly RdmaDevice[],
  ports: readonly RailPort[],
  { numa }: DeviceWishes,
): Sorted {
  const excluded: { name: string; why: string }[] = []
  for (const { name, ports: own } of devices)
    if (own.length === 0) excluded.push({ name, why: "it has no port" })
  const chosen = ports.filter((rail) => {
    const why = fault(rail) ?? elsewhere(rail, numa)
    if (why !== undefined) excluded.push({ name: nameOf(rail), why })
    return why === undefined
  })
  return { chosen, excluded }
}

function byHand(
  devices: readonly RdmaDevice[],
  ports: readonly RailPort[],
  names: readonly DeviceName[],
  { numa }: DeviceWishes,
): Sorted {
  const chosen = names.map(({ device: name, port: number }): RailPort => {
    const own = ports.filter(
      ({ device, port }) => device.name === name && (number ?? port.port) === port.port,
    )
    const good = own.find((rail) => fault(rail) === undefined)
    const shown = number === undefined ? name : `${name}:${number}`
    if (good === undefined) {
      const [first] = own
      const known = devices.map((device) => device.name).join(", ")
      throw new KvError("KV_USAGE", {
        what: `the RDMA device ${shown} was asked for and cannot be used`,
        why:
          first === undefined
            ? `there is no such device or port; this machine has ${known || "none"}`
            : fault(first)!,
        next: "name devices that are there and active, or none: then all of these are used",
      })
    }
    const away = elsewhere(good, numa)
    if (away === undefined) return good
    throw new KvError("KV_USAGE", {
      what: `the RDMA device ${shown} was asked for, and it ${away.replace(/^it /, "")}`,
      next: "leave out one of the two wishes",
    })
  })
  const excluded = ports
    .filter((rail) => !chosen.includes(rail))
    .map((rail) => ({ name: nameOf(rail), why: fault(rail) ?? "not among the devices that were asked for" }))
  return { chosen, excluded }
}

/** Why a port cannot be a rail, whatever was asked for. */
function fault({ device, port }: RailPort): string | undefined {
  if (device.transport === "iWARP") return "it speaks iWARP, whose queue pairs only rdma_cm connects"
  if (device.transport === "other") {
    return device.driver === "efa"
      ? "an EFA device has no reliable connections: use libfabric"
      : "it has no reliable connections"
  }
  if (port.state !== "ACTIVE") return `its port is ${port.state}`
  return port.gids.length === 0 ? "its port has no GID: its interface has no address" : undefined
}

function elsewhere({ device }: RailPort, numa: number | undefined): string | undefined {
  if (numa === undefined || device.numaNode === undefined || device.numaNode === numa) return undefined
  return `it stands at NUMA node ${device.numaNode}, and node ${numa} was asked for`
}

const nameOf = ({ device, port }: RailPort): string =>
  device.ports.length === 1 ? device.name : `${device.name}:${port.port}`
