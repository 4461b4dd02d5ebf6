import { accessSync, constants, existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"

/** A file tree to look things up in: this machine's, or a recorded one. Absent is undefined, never an error. */
export interface FileTree {
  /** Names in a folder, sorted. */
  list(path: string): readonly string[] | undefined
  /** Text of a file without its line's end. Undefined too for one that is there and cannot be read. */
  read(path: string): string | undefined
  /** Last part of what a link points to. */
  linkName(path: string): string | undefined
  /** True when there is a file, a folder, or a link to one. */
  has(path: string): boolean
  /** True when this process may read and write it. */
  usable(path: string): boolean
}

/** What a GID's packets are. Sysfs says `IB/RoCE v1` for two of them: the port's link layer tells which. */
export type GidType = "InfiniBand" | "RoCE v1" | "RoCE v2"

/** One entry of a port's table of GIDs. */
export interface GidEntry {
  readonly index: number
  /** 32 hexadecimal digits. */
  readonly gid: string
  readonly type: GidType
  /** The network interface it belongs to; absent on InfiniBand. */
  readonly netdev?: string
}

export type LinkLayer = "InfiniBand" | "Ethernet" | "unspecified"

/** One port of an RDMA device as sysfs shows it. */
export interface RdmaPort {
  readonly port: number
  /** `ACTIVE`, `DOWN`, … */
  readonly state: string
  readonly linkLayer: LinkLayer
  readonly lid: number
  /** Line rate in Gb/s. Absent for a software device: what it says is a constant. */
  readonly gigabits?: number
  readonly gids: readonly GidEntry[]
}

/** An RDMA device as sysfs shows it, without opening it. */
export interface RdmaDevice {
  readonly name: string
  /** `mlx5_core`, `efa`, … ; absent for a software device, which has no device below it. */
  readonly driver?: string
  /** The NUMA node it stands at; absent where the machine has one node or does not say. */
  readonly numaNode?: number
  /** What its queue pairs speak. Queue pairs of iWARP are connected by rdma_cm only. */
  readonly transport: "InfiniBand" | "iWARP" | "other"
  readonly ports: readonly RdmaPort[]
}

/** @see Documentation/ABI/stable/sysfs-class-infiniband in the kernel's source */
export const rdmaClass = "/sys/class/infiniband"
const zeroGid = "0".repeat(32)

/** This machine's own files. */
export const machineFiles: FileTree = {
  list: (path) => attempt(() => readdirSync(path).sort()),
  read: (path) => attempt(() => readFileSync(path, "utf8").trimEnd()),
  linkName: (path) => attempt(() => readlinkSync(path).split("/").at(-1) ?? ""),
  has: existsSync,
  usable: (path) =>
    attempt(() => {
      accessSync(path, constants.R_OK | constants.W_OK)
      return true
    }) ?? false,
}

/** The RDMA devices of this machine, by name in the order of their numbers. Empty where the kernel knows none. */
export function readRdmaDevices(files: FileTree = machineFiles): RdmaDevice[] {
  const names = files.list(rdmaClass) ?? []
  return names.toSorted(byNumber).map((name) => readDevice(files, name))
}

/** `mlx5_2` before `mlx5_10`. */
export function byNumber(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true })
}

function readDevice(files: FileTree, name: string): RdmaDevice {
  const folder = `${rdmaClass}/${name}`
  const driver = files.linkName(`${folder}/device/driver`)
  const node = Number(files.read(`${folder}/device/numa_node`) ?? "-1")
  const ports = (files.list(`${folder}/ports`) ?? []).toSorted(byNumber)
  // Soft-RoCE says there which interface it rides on, and may stand below that one's device.
  const software = driver === undefined || files.read(`${folder}/parent`) !== undefined
  return {
    name,
    ...(driver === undefined ? {} : { driver }),
    ...(Number.isInteger(node) && node >= 0 ? { numaNode: node } : {}),
    transport: transportOf(files.read(`${folder}/node_type`)),
    ports: ports.map((port) => readPort(files, `${folder}/ports/${port}`, Number(port), software)),
  }
}

/** `1: CA`, `4: RNIC`, `7: unspecified` (EFA). */
function transportOf(nodeType: string | undefined): RdmaDevice["transport"] {
  const type = nodeType?.split(":")[0]
  return type === "1" ? "InfiniBand" : type === "4" ? "iWARP" : "other"
}

function readPort(files: FileTree, folder: string, port: number, software: boolean): RdmaPort {
  const rate = gigabitsOf(files.read(`${folder}/rate`))
  const linkLayer = files.read(`${folder}/link_layer`)
  return {
    port,
    state: files.read(`${folder}/state`)?.split(":").at(-1)?.trim() ?? "unknown",
    linkLayer: linkLayer === "InfiniBand" || linkLayer === "Ethernet" ? linkLayer : "unspecified",
    lid: Number(files.read(`${folder}/lid`) ?? "0") || 0,
    ...(software || rate === undefined ? {} : { gigabits: rate }),
    gids: readGids(files, folder, linkLayer === "Ethernet"),
  }
}

/** `100 Gb/sec (4X EDR)` → 100. */
export function gigabitsOf(rate: string | undefined): number | undefined {
  const number = /^(\d+(?:\.\d+)?) Gb\/sec/.exec(rate ?? "")?.[1]
  return number === undefined ? undefined : Number(number)
}

function readGids(files: FileTree, folder: string, ethernet: boolean): GidEntry[] {
  const entries: GidEntry[] = []
  for (const index of (files.list(`${folder}/gids`) ?? []).toSorted(byNumber)) {
    const gid = files.read(`${folder}/gids/${index}`)?.replaceAll(":", "")
    if (gid === undefined || gid === zeroGid || !/^[0-9a-f]{32}$/.test(gid)) continue
    const type = files.read(`${folder}/gid_attrs/types/${index}`)
    const netdev = files.read(`${folder}/gid_attrs/ndevs/${index}`)
    entries.push({
      index: Number(index),
      gid,
      type: type === "RoCE v2" ? "RoCE v2" : ethernet ? "RoCE v1" : "InfiniBand",
      ...(netdev === undefined ? {} : { netdev }),
    })
  }
  return entries
}

function attempt<Value>(look: () => Value): Value | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
