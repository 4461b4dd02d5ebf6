import { type FileTree, machineFiles, type RdmaDevice } from "./rdma-devices.ts"
import type { PresenceFact } from "./rdma-presence.ts"

const pciFolder = "/sys/bus/pci/devices"
/** Where Amazon's installer puts its own libfabric. */
const installerFolder = "/opt/amazon/efa"

/** What this machine has of EFA, and where it was looked for. Nothing is opened. */
export function efaPresence(devices: readonly RdmaDevice[], files: FileTree = machineFiles): PresenceFact[] {
  const functions = (files.list(pciFolder) ?? []).filter(
    (name) =>
      files.read(`${pciFolder}/${name}/vendor`) === "0x1d0f" &&
      files.read(`${pciFolder}/${name}/device`)?.startsWith("0xefa") === true,
  )
  const driven = devices.filter(({ driver }) => driver === "efa").map(({ name }) => name)
  const module = files.list("/sys/module/efa") !== undefined
  const provider = files.list("/etc/libibverbs.d")?.includes("efa.driver") === true
  const installer = files.list(installerFolder) !== undefined
  return [
    fact("PCI functions", `${pciFolder}, vendor 0x1d0f, device 0xefa…`, functions),
    {
      what: "kernel driver efa",
      where: "/sys/module/efa",
      found: module,
      detail: module ? "loaded" : "not loaded",
    },
    fact("RDMA devices of it", "/sys/class/infiniband", driven),
    {
      what: "its provider of libibverbs",
      where: "/etc/libibverbs.d",
      found: provider,
      detail: provider ? "efa" : "none",
    },
    {
      what: "Amazon's own libfabric",
      where: installerFolder,
      found: installer,
      detail: installer ? "installed: the loader must find it before another one" : "not installed",
    },
  ]
}

/** Names that are shown; more are counted. */
const shownMax = 8

function fact(what: string, where: string, names: readonly string[]): PresenceFact {
  const more = names.length > shownMax ? ` and ${names.length - shownMax} more` : ""
  const detail = names.length === 0 ? "none" : `${names.slice(0, shownMax).join(", ")}${more}`
  return { what, where, found: names.length > 0, detail }
}
