import assert from "node:assert/strict"
import { test } from "node:test"
import { KvError } from "../../errors/kv-error.ts"
import type { RdmaDevice } from "../../os/rdma-devices.ts"
import { allowedDevices } from "./open-rails.ts"

const port = (number: number): RdmaDevice["ports"][number] => ({
  port: number,
  state: "ACTIVE",
  linkLayer: "Ethernet",
  lid: 0,
  gids: [],
})
const devices: readonly RdmaDevice[] = [
  { name: "mlx5_0", transport: "InfiniBand", ports: [port(1), port(2)] },
  { name: "mlx5_1", transport: "InfiniBand", ports: [port(1)] },
]
const left = (options: Parameters<typeof allowedDevices>[1]): string[] =>
  allowedDevices(devices, options).flatMap(({ name, ports }) => ports.map((own) => `${name}:${own.port}`))

test("devices that are excluded, and ports that are not the one asked for, are left out", () => {
  assert.deepEqual(left({}), ["mlx5_0:1", "mlx5_0:2", "mlx5_1:1"])
  assert.deepEqual(left({ excluded: ["mlx5_0", "absent"] }), ["mlx5_1:1"])
  assert.deepEqual(left({ port: 2 }), ["mlx5_0:2"])
})

test("when nothing is left by that, the error says which words did it", () => {
  const refused = (options: Parameters<typeof allowedDevices>[1], words: RegExp): void =>
    assert.throws(
      () => allowedDevices(devices, options),
      (error) => error instanceof KvError && error.code === "KV_USAGE" && words.test(error.what),
    )
  refused({ excluded: ["mlx5_0", "mlx5_1"] }, /mlx5_0, mlx5_1 excluded/)
  refused({ excluded: ["mlx5_1"], port: 3 }, /mlx5_1 excluded, port 3 alone/)
  assert.deepEqual(allowedDevices([], { port: 1 }), [], "a machine without devices is another error")
})
