/**
 * A process with one nixl endpoint that does as it is told, for tests between two real processes.
 *
 * `nixl-process.test.kit.ts` starts it and speaks with it over Node's own channel.
 */
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import type { Connection, EndpointAddress, RegionDescriptor, Rights } from "../transport.ts"
import { createNixl } from "./nixl.ts"

/** What such a process can be told. */
export interface Orders {
  /** Registers a region whose bytes are all `value`. */
  register(order: {
    region: number
    byteLength: number
    access: Rights
    value: number
  }): Promise<RegionDescriptor>
  deregister(order: { region: number }): Promise<void>
  admit(order: { id: string; key: string; rights: Rights }): Promise<void>
  /** Sets every byte of a region. */
  fill(order: { region: number; value: number }): Promise<void>
  /** How many bytes of a region are not `value`. */
  others(order: { region: number; value: number }): Promise<number>
  connect(order: {
    id: string
    key: string
    address: EndpointAddress
    regions: RegionDescriptor[]
    millis: number
  }): Promise<void>
  /** Moves a peer's whole region into or out of region `own` here, `times` times. */
  move(order: {
    direction: "read" | "write"
    own: number
    remote: RegionDescriptor
    millis: number
    times: number
  }): Promise<number>
  /** Why the connection was lost; waits for that. */
  lost(order: object): Promise<string>
  /** Ends the process as a program does that forgets to close anything. */
  exit(order: { code: number }): Promise<void>
  close(order: object): Promise<void>
}

export type Order = {
  [Name in keyof Orders]: { name: Name; order: Parameters<Orders[Name]>[0] }
}[keyof Orders]

const mappings = new Map<number, HostMapping>()
const connections: Connection[] = []

async function main(): Promise<void> {
  if (process.send === undefined) return
  const endpoint = await createNixl({ library: process.argv[2] }).open({ host: "127.0.0.1", rails: 1 })
  const keyOf = (id: string, key: string) => ({ id, key: Buffer.from(key, "hex") })
  const orders: Orders = {
    async register({ region, byteLength, access, value }) {
      const mapping = hostMemory.map(byteLength, `child-${region}`)
      mappings.set(region, mapping)
      mapping.view(0, byteLength).fill(value)
      return await endpoint.register(region, mapping, access)
    },
    deregister: ({ region }) => endpoint.deregister(region),
    admit: ({ id, key, rights }) => endpoint.admit(keyOf(id, key), rights),
    async fill({ region, value }) {
      const mapping = mappings.get(region)!
      mapping.view(0, mapping.byteLength).fill(value)
    },
    async others({ region, value }) {
      const mapping = mappings.get(region)!
      let count = 0
      for (const byte of mapping.view(0, mapping.byteLength)) if (byte !== value) count += 1
      return count
    },
    async connect({ id, key, address, regions, millis }) {
      const options = { deadline: performance.now() + millis, peerHost: "127.0.0.1", regions }
      connections.push(await endpoint.connect(keyOf(id, key), address, options))
    },
    async move({ direction, own, remote, millis, times }) {
      const [from, to] = direction === "read" ? [remote.region, own] : [own, remote.region]
      const builder = new PlanBuilder(1)
      builder.add(from, 0, to, 0, remote.length, 0)
      const plan = builder.finish()
      const deadline = performance.now() + millis
      let bytes = 0
      for (let i = 0; i < times; i++) {
        bytes += (await connections.at(-1)!.move({ direction, plan, remote: [remote], deadline })).bytes
      }
      return bytes
    },
    lost: async () => (await connections.at(-1)!.lost).message,
    async exit({ code }) {
      process.exit(code)
    },
    async close() {
      await endpoint[Symbol.asyncDispose]()
    },
  }
  process.on("message", ({ call, name, order }: Order & { call: number }) => {
    const action = orders[name] as (order: unknown) => Promise<unknown>
    action(order).then(
      (value) => process.send!({ call, value }),
      (error: unknown) =>
        process.send!({
          call,
          error: error instanceof KvError ? error.toJSON() : { code: "KV_INTERNAL", what: String(error) },
        }),
    )
  })
  // Whoever started us is gone.
  process.on("disconnect", () => process.exit(0))
  process.send({ call: 0, value: endpoint.address })
}

await main()
