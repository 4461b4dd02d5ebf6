import assert from "node:assert/strict"
import { test } from "node:test"
import type { FileTree } from "../../os/rdma-devices.ts"
import { lineRates, lineRateText } from "./line-rates.ts"

const tree = (entries: Readonly<Record<string, string>>): FileTree => ({
  list: (path) => {
    const names = Object.keys(entries)
      .filter((name) => name.startsWith(`${path}/`))
      .map((name) => name.slice(path.length + 1).split("/")[0]!)
    return names.length === 0 ? undefined : [...new Set(names)].sort()
  },
  read: (path) => entries[path],
  linkName: (path) => entries[path],
  has: (path) => path in entries,
  usable: () => true,
})

test("ports that are up and interfaces with a device tell their rate; virtual ones do not", () => {
  const rates = lineRates(
    tree({
      "/sys/class/infiniband/mlx5_0/device/driver": "mlx5_core",
      "/sys/class/infiniband/mlx5_0/ports/1/rate": "200 Gb/sec (4X HDR)",
      "/sys/class/infiniband/mlx5_0/ports/1/state": "4: ACTIVE",
      "/sys/class/infiniband/mlx5_1/device/driver": "mlx5_core",
      "/sys/class/infiniband/mlx5_1/ports/1/rate": "200 Gb/sec (4X HDR)",
      "/sys/class/infiniband/mlx5_1/ports/1/state": "1: DOWN",
      "/sys/class/net/eno1/device/driver": "ixgbe",
      "/sys/class/net/eno1/speed": "10000",
      "/sys/class/net/eth0/device/driver": "virtio_net",
      "/sys/class/net/eth0/speed": "10000",
      "/sys/class/net/lo/speed": "-1",
    }),
  )
  assert.deepEqual(rates, [
    { name: "mlx5_0", gigabits: 200 },
    { name: "eno1", gigabits: 10 },
  ])
  assert.equal(lineRateText(rates), "line rate: mlx5_0 200 Gb/s (25.00 GB/s), eno1 10 Gb/s (1.25 GB/s)")
  assert.match(lineRateText([]), /no NIC here/)
})
