import { type FileTree, machineFiles, type RdmaDevice, rdmaClass, readRdmaDevices } from "./rdma-devices.ts"

/** One thing that RDMA needs, where it was looked for, and what was there. */
export interface PresenceFact {
  readonly what: string
  readonly where: string
  readonly found: boolean
  readonly detail: string
}

/** What this machine has of RDMA. Looking opens nothing and loads nothing. */
export interface RdmaPresence {
  readonly facts: readonly PresenceFact[]
  readonly devices: readonly RdmaDevice[]
  /** What would bring the first thing that is missing. Absent when all is there. */
  readonly next?: string
}

/** Kernel modules that make RDMA devices; a driver that is built in shows in the same folder, or not at all. */
const driverModules = [
  "mlx5_ib",
  "mlx4_ib",
  "efa",
  "irdma",
  "bnxt_re",
  "hns_roce_hw_v2",
  "qedr",
  "erdma",
  "mana_ib",
  "ionic_rdma",
  "hfi1",
  "rdma_rxe",
  "siw",
]

const libraryFolders = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/lib64",
  "/usr/lib",
  "/usr/local/lib",
]
const library = "libibverbs.so.1"
const providerFolder = "/etc/libibverbs.d"
const uverbsFolder = "/dev/infiniband"

/**
 * Looks for what RDMA needs: modules, devices, their files, the library and its providers.
 * @param libraryPath folders of LD_LIBRARY_PATH, which are searched first.
 */
export function rdmaPresence(
  files: FileTree = machineFiles,
  libraryPath = process.env["LD_LIBRARY_PATH"] ?? "",
): RdmaPresence {
  const devices = readRdmaDevices(files)
  const checks = [
    kernelSupport(files),
    deviceList(files, devices),
    deviceFiles(files),
    libraryFile(
      files,
      libraryPath.split(":").filter((folder) => folder.startsWith("/")),
    ),
    providers(files),
  ]
  const missing = checks.find(({ fact }) => !fact.found)
  return {
    facts: checks.map(({ fact }) => fact),
    devices,
    ...(missing === undefined ? {} : { next: missing.next }),
  }
}

/** Most of a fact that is there, in a reason about what is not. */
const detailMax = 100

/** The facts as the reason of a refusal: what is missing with where it was looked for, and in short what is there. */
export function presenceText({ facts }: RdmaPresence): string {
  return facts
    .map(({ what, where, found, detail }) =>
      found
        ? `${what}: ${detail.length > detailMax ? `${detail.slice(0, detailMax - 1)}…` : detail}`
        : `${what} (${where}): ${detail}`,
    )
    .join("; ")
}

interface Check {
  readonly fact: PresenceFact
  readonly next: string
}

function kernelSupport(files: FileTree): Check {
  const loaded = ["ib_core", "ib_uverbs", ...driverModules].filter(
    (name) => files.list(`/sys/module/${name}`) !== undefined,
  )
  // A driver may be built into the kernel: then the class is there without a module.
  const builtIn = files.list(rdmaClass) !== undefined
  return {
    fact: {
      what: "kernel support",
      where: `/sys/module, ${rdmaClass}`,
      found: builtIn,
      detail: builtIn
        ? loaded.length === 0
          ? "built in"
          : `loaded: ${loaded.join(", ")}`
        : "none of ib_core and its drivers is loaded",
    },
    next: "load the driver of the NIC (modprobe mlx5_ib, irdma, bnxt_re, efa …), or modprobe rdma_rxe for Soft-RoCE",
  }
}

function deviceList(files: FileTree, devices: readonly RdmaDevice[]): Check {
  const software = files.list("/sys/module/rdma_rxe") !== undefined
  return {
    fact: {
      what: "devices",
      where: rdmaClass,
      found: devices.length > 0,
      detail: devices.length === 0 ? "none" : devices.map(deviceText).join(", "),
    },
    next: software
      ? "make one: rdma link add rxe0 type rxe netdev eth0"
      : "check that the NIC is there (lspci) and its RDMA driver is loaded; a virtual machine must be given one",
  }
}

/** `mlx5_0 (mlx5_core, NUMA 1, port 1 ACTIVE Ethernet 100 Gb/s)` */
function deviceText({ name, driver, numaNode, ports }: RdmaDevice): string {
  const parts = [
    driver ?? "software",
    ...(numaNode === undefined ? [] : [`NUMA ${numaNode}`]),
    ...ports.map(
      ({ port, state, linkLayer, gigabits }) =>
        `port ${port} ${state} ${linkLayer}${gigabits === undefined ? "" : ` ${gigabits} Gb/s`}`,
    ),
  ]
  return `${name} (${parts.join(", ")})`
}

function deviceFiles(files: FileTree): Check {
  const names = (files.list(uverbsFolder) ?? []).filter((name) => /^uverbs\d+$/.test(name))
  const usable = names.filter((name) => files.usable(`${uverbsFolder}/${name}`))
  const closed = names.length - usable.length
  const module =
    files.list("/sys/module/ib_uverbs") !== undefined ||
    files.list("/sys/class/infiniband_verbs") !== undefined
  return {
    fact: {
      what: "device files",
      where: `${uverbsFolder}/uverbs*`,
      found: usable.length > 0,
      detail:
        names.length === 0
          ? "none"
          : `${usable.join(", ") || "none is ours to open"}${closed > 0 && usable.length > 0 ? `, and ${closed} that this user may not open` : ""}`,
    },
    next:
      names.length > 0
        ? "give this user read and write access to /dev/infiniband/uverbs* (group rdma, or a udev rule)"
        : module
          ? "give the container its devices (docker: --device=/dev/infiniband, Kubernetes: an RDMA device plugin)"
          : "modprobe ib_uverbs",
  }
}

function libraryFile(files: FileTree, first: readonly string[]): Check {
  const folders = [...first, ...libraryFolders]
  const folder = folders.find((place) => files.has(`${place}/${library}`))
  return {
    fact: {
      what: library,
      where: folders.join(", "),
      found: folder !== undefined,
      detail: folder === undefined ? "none" : `${folder}/${library}`,
    },
    next: "install it: apt-get install libibverbs1 ibverbs-providers, or dnf install libibverbs",
  }
}

function providers(files: FileTree): Check {
  const names = (files.list(providerFolder) ?? [])
    .filter((name) => name.endsWith(".driver"))
    .map((name) => name.replace(/\.driver$/, ""))
  return {
    fact: {
      what: "providers of the library",
      where: providerFolder,
      found: names.length > 0,
      detail: names.length === 0 ? "none" : names.join(", "),
    },
    next: "install them: apt-get install ibverbs-providers, or dnf install libibverbs",
  }
}
