import { networkInterfaces } from "node:os"
import { machineFacts } from "../../bench/machine.ts"
import { efaPresence } from "../../os/efa-presence.ts"
import { readLockedMemory } from "../../os/memlock.ts"
import { byNumber, type FileTree, machineFiles } from "../../os/rdma-devices.ts"
import { rdmaPresence } from "../../os/rdma-presence.ts"

/** Processors, memory, NICs: what decides which way bytes take. Plain data for a maintainer to read. */
export function topology(files: FileTree = machineFiles): object {
  const presence = rdmaPresence(files)
  return {
    machine: machineFacts(),
    numaNodes: numaNodes(files),
    networkInterfaces: interfaces(files),
    rdma: presence.facts,
    // GIDs are addresses: how many there are, and of which kind, says enough.
    rdmaDevices: presence.devices.map(({ ports, ...device }) => ({
      ...device,
      ports: ports.map(({ gids, ...port }) => ({
        ...port,
        gids: gids.map(({ index, type, netdev }) => ({
          index,
          type,
          ...(netdev === undefined ? {} : { netdev }),
        })),
      })),
    })),
    efa: efaPresence(presence.devices, files),
    lockedMemory: readLockedMemory() ?? null,
  }
}

const nodeFolder = "/sys/devices/system/node"

function numaNodes(files: FileTree): object[] {
  const nodes = (files.list(nodeFolder) ?? []).filter((name) => /^node\d+$/.test(name)).sort(byNumber)
  return nodes.map((name) => ({
    node: Number(name.slice("node".length)),
    cpus: files.read(`${nodeFolder}/${name}/cpulist`) ?? null,
    distances: files.read(`${nodeFolder}/${name}/distance`) ?? null,
  }))
}

function interfaces(files: FileTree): object[] {
  return Object.entries(networkInterfaces()).map(([name, addresses = []]) => {
    const read = (file: string): string | null => files.read(`/sys/class/net/${name}/${file}`) ?? null
    return {
      name,
      mtu: read("mtu"),
      speedMegabits: read("speed"),
      state: read("operstate"),
      driver: files.linkName(`/sys/class/net/${name}/device/driver`) ?? null,
      numaNode: read("device/numa_node"),
      addresses: addresses.map(({ cidr, family }) => ({ family, cidr })),
    }
  })
}
