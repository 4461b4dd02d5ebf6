/**
 * A process with one shm endpoint that does as it is told, for tests between two real processes.
 *
 * `shm-process.test.kit.ts` starts it and speaks with it over Node's own channel.
 */
import { readdirSync } from "node:fs"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { openCrew } from "../../movers/thread-crew.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import type { Connection, EndpointAddress, RegionDescriptor, Rights } from "../transport.ts"
import { freshSocketName, ownMachine } from "./shm-address.ts"
import { ShmEndpoint } from "./shm-endpoint.ts"

/** What such a process can be told. */
export interface Orders {
  register(order: {
    region: number
    byteLength: number
    access: Rights
    seed: number
  }): Promise<RegionDescriptor>
  deregister(order: { region: number }): Promise<void>
  admit(order: { id: string; key: string; rights: Rights }): Promise<void>
  dismiss(order: { id: string }): Promise<void>
  /** Sets every byte of a region. */
  fill(order: { region: number; value: number }): Promise<void>
  byte(order: { region: number; offset: number }): Promise<number>
  /** The number of the region's file here. */
  file(order: { region: number }): Promise<number>
  /** How many files are open here. */
  files(order: object): Promise<number>
  connect(order: {
    id: string
    key: string
    address: EndpointAddress
    regions: RegionDescriptor[]
    millis: number
  }): Promise<void>
  /** Moves a run of a peer's region into or out of the same place of region `own` here. */
  move(order: {
    direction: "read" | "write"
    own: number
    remote: RegionDescriptor
    offset: number
    length: number
  }): Promise<number>
  /** Why the connection was lost; waits for that. */
  lost(order: object): Promise<string>
  close(order: object): Promise<void>
}

export type Order = {
  [Name in keyof Orders]: { name: Name; order: Parameters<Orders[Name]>[0] }
}[keyof Orders]

/** The word at place i of a region that was registered with this seed. */
export const wordAt = (seed: number, i: number): number => Math.imul(i + seed * 65537, 2654435761) >>> 0

const mappings = new Map<number, HostMapping>()
let connection: Connection | undefined
let socketName = process.argv[2]

async function main(): Promise<void> {
  if (process.send === undefined) return
  const crew = await openCrew({ threads: 1 })
  socketName ??= freshSocketName()
  const endpoint = await ShmEndpoint.open(crew, ownMachine(), socketName)
  const keyOf = (id: string, key: string) => ({ id, key: Buffer.from(key, "hex") })
  const orders: Orders = {
    async register({ region, byteLength, access, seed }) {
      const mapping = hostMemory.map(byteLength, `child-${region}`)
      mappings.set(region, mapping)
      const bytes = mapping.view(0, byteLength)
      const words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(byteLength / 4))
      for (let i = 0; i < words.length; i++) words[i] = wordAt(seed, i)
      return await endpoint.register(region, mapping, access)
    },
    deregister: ({ region }) => endpoint.deregister(region),
    admit: ({ id, key, rights }) => endpoint.admit(keyOf(id, key), rights),
    dismiss: ({ id }) => endpoint.dismiss(id),
    async fill({ region, value }) {
      const mapping = mappings.get(region)!
      mapping.view(0, mapping.byteLength).fill(value)
    },
    byte: async ({ region, offset }) => mappings.get(region)!.view(offset, 1)[0]!,
    file: async ({ region }) => mappings.get(region)!.fd,
    files: async () => readdirSync("/proc/self/fd").length,
    async connect({ id, key, address, regions, millis }) {
      const options = { deadline: performance.now() + millis, peerHost: "127.0.0.1", regions }
      connection = await endpoint.connect(keyOf(id, key), address, options)
    },
    async move({ direction, own, remote, offset, length }) {
      const [from, to] = direction === "read" ? [remote.region, own] : [own, remote.region]
      const builder = new PlanBuilder(1)
      builder.add(from, offset, to, offset, length, 0)
      const plan = builder.finish()
      const deadline = performance.now() + 10_000
      return (await connection!.move({ direction, plan, remote: [remote], deadline })).bytes
    },
    lost: async () => (await connection!.lost).message,
    async close() {
      await connection?.[Symbol.asyncDispose]()
      await endpoint[Symbol.asyncDispose]()
      for (const mapping of mappings.values()) mapping[Symbol.dispose]()
      mappings.clear()
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
