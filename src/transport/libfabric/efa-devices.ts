import { readdirSync, readlinkSync } from "node:fs"
import { basename, join } from "node:path"

/** An RDMA device as the kernel lists it. */
export interface RdmaDevice {
  readonly name: string
  /** The driver of the PCI device behind it, such as `efa` or `mlx5_core`; empty for a device of software. */
  readonly driver: string
}

/** Where the kernel lists RDMA devices. */
export const rdmaDevicesFolder = "/sys/class/infiniband"

/** The RDMA devices of this machine; undefined when its kernel has no RDMA at all. */
export function rdmaDevices(folder: string = rdmaDevicesFolder): readonly RdmaDevice[] | undefined {
  let names: string[]
  try {
    names = readdirSync(folder).sort()
  } catch {
    return undefined
  }
  return names.map((name) => ({ name, driver: driverOf(join(folder, name)) }))
}

function driverOf(device: string): string {
  try {
    return basename(readlinkSync(join(device, "device/driver")))
  } catch {
    return ""
  }
}

/** What was found, for the error of somebody who looked for a device of `driver` (any, when it is left out). */
export function devicesInWords(devices: readonly RdmaDevice[] | undefined, driver?: string): string {
  if (devices === undefined)
    return `${rdmaDevicesFolder} is not there: this kernel has no RDMA, or no such device`
  if (devices.length === 0) return `${rdmaDevicesFolder} is empty`
  const found = devices.map((device) => `${device.name} (driver ${device.driver || "none: software"})`)
  const missing = driver === undefined ? "" : `; none has the driver ${driver}`
  return `${rdmaDevicesFolder} has ${found.join(", ")}${missing}`
}
