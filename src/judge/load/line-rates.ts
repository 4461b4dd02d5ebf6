import { byNumber, type FileTree, machineFiles, readRdmaDevices } from "../../os/rdma-devices.ts"

/** What a NIC could carry, in Gb/s (10^9 bits). */
export interface LineRate {
  readonly name: string
  readonly gigabits: number
}

const netClass = "/sys/class/net"

/**
 * The line rates that this machine's NICs tell: RDMA ports that are up, and network interfaces with a device below them.
 *
 * A virtual device tells none, or a constant that means nothing: it is left out.
 */
export function lineRates(files: FileTree = machineFiles): LineRate[] {
  const rdma = readRdmaDevices(files).flatMap(({ name, ports }) =>
    ports
      .filter(({ state, gigabits }) => state === "ACTIVE" && gigabits !== undefined)
      .map(({ port, gigabits }) => ({
        name: ports.length === 1 ? name : `${name}/${port}`,
        gigabits: gigabits!,
      })),
  )
  const interfaces = (files.list(netClass) ?? []).toSorted(byNumber).flatMap((name): LineRate[] => {
    const folder = `${netClass}/${name}`
    const driver = files.linkName(`${folder}/device/driver`)
    const megabits = Number(files.read(`${folder}/speed`) ?? "-1")
    const virtual = driver === undefined || driver.startsWith("virtio")
    return virtual || !(megabits > 0) ? [] : [{ name, gigabits: megabits / 1000 }]
  })
  return [...rdma, ...interfaces]
}

/** RDMA devices of this machine with a port that is up. */
export const ownNics = (files: FileTree = machineFiles): string[] =>
  readRdmaDevices(files)
    .filter(({ ports }) => ports.some(({ state }) => state === "ACTIVE"))
    .map(({ name }) => name)

/** One line for people. */
export function lineRateText(rates: readonly LineRate[]): string {
  if (rates.length === 0)
    return "no NIC here tells a line rate: the memory of this machine is the only ceiling"
  const each = rates.map(
    ({ name, gigabits }) => `${name} ${gigabits} Gb/s (${(gigabits / 8).toFixed(2)} GB/s)`,
  )
  return `line rate: ${each.join(", ")}`
}
