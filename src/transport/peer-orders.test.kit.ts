/** What a second process with one endpoint can be told by a test, and the program that does it. */
import { KvError } from "../errors/kv-error.ts"
import type { HostMapping } from "../memory/host-memory.ts"
import { hostMemory } from "../os/host-memory.ts"
import { PlanBuilder } from "../plan/transfer-plan.ts"
import type { Connection, Endpoint, EndpointAddress, RegionDescriptor, Rights, Session } from "./transport.ts"

/** What every such process can be told. */
export interface PeerOrders {
  /** Maps memory and registers it. Its words are those of `seed`, or its bytes are `value`, or 0. */
  register(order: {
    region: number
    byteLength: number
    access: Rights
    seed?: number
    value?: number
  }): Promise<RegionDescriptor>
  /** Registers memory again that was registered before, with what is in it. */
  registerAgain(order: { region: number; access: Rights }): Promise<RegionDescriptor>
  deregister(order: { region: number }): Promise<void>
  admit(order: { session: SessionText; rights: Rights }): Promise<void>
  dismiss(order: { id: string }): Promise<void>
  /** Sets every byte of a region. */
  fill(order: { region: number; value: number }): Promise<void>
  byte(order: { region: number; offset: number }): Promise<number>
  /** How many bytes of a region are not `value`. */
  others(order: { region: number; value: number }): Promise<number>
  /** How many words of a region are not those of `seed`. */
  wrongWords(order: { region: number; seed: number }): Promise<number>
  connect(order: {
    session: SessionText
    address: EndpointAddress
    regions: RegionDescriptor[]
    millis: number
  }): Promise<void>
  /** Moves a run of a peer's region into or out of the same place of region `own` here; its bytes, all times together. */
  move(order: {
    direction: "read" | "write"
    own: number
    remote: RegionDescriptor
    /** The whole region, when absent. */
    offset?: number
    length?: number
    millis: number
    times?: number
  }): Promise<number>
  /** Why the connection was lost; waits for that. */
  lost(order: object): Promise<string>
  /** Ends the process as a program does that forgets to close anything. */
  exit(order: { code: number }): Promise<void>
  close(order: object): Promise<void>
}

/** A session as it crosses between the two. */
export interface SessionText {
  readonly id: string
  readonly key: string
}

export const textOf = ({ id, key }: Session): SessionText => ({ id, key: Buffer.from(key).toString("hex") })
const sessionOf = ({ id, key }: SessionText): Session => ({ id, key: Buffer.from(key, "hex") })

/** The word at place `i` of memory with this seed; it is never what fresh memory has. */
export const wordAt = (seed: number, i: number): number =>
  Math.imul(i + 1 + seed * 65537, 2654435761) >>> 0 || 1

/** What comes back for an order; its number is 0 when the process says where its endpoint is. */
export interface Reply {
  readonly call: number
  readonly value?: unknown
  readonly error?: unknown
}

/** Any order, whatever it takes. */
export type Action = (order: never) => Promise<unknown>

/**
 * Does what the parent says with this process's endpoint, until the parent is gone.
 *
 * @param more what this kind of process can do beside what all can
 */
export function servePeer(
  endpoint: Endpoint,
  more: (mappings: ReadonlyMap<number, HostMapping>) => Readonly<Record<string, Action>> = () => ({}),
): void {
  const mappings = new Map<number, HostMapping>()
  const orders: Readonly<Record<string, Action>> = { ...ordersOf(endpoint, mappings), ...more(mappings) }
  const send = (reply: Reply): void => void process.send!(reply)
  process.on("message", ({ call, name, order }: { call: number; name: string; order: never }) => {
    orders[name]!(order).then(
      (value) => send({ call, value }),
      (thrown: unknown) => send({ call, error: recordOf(thrown) }),
    )
  })
  process.on("disconnect", () => process.exit(0))
  send({ call: 0, value: endpoint.address })
}

const recordOf = (thrown: unknown): unknown =>
  thrown instanceof KvError ? thrown.toJSON() : { code: "KV_INTERNAL", what: String(thrown) }

function ordersOf(endpoint: Endpoint, mappings: Map<number, HostMapping>): PeerOrders {
  let connection: Connection | undefined
  const bytesOf = (region: number): Uint8Array => {
    const mapping = mappings.get(region)!
    return mapping.view(0, mapping.byteLength)
  }
  return {
    async register({ region, byteLength, access, seed, value }) {
      const mapping = hostMemory.map(byteLength, `child-${region}`)
      mappings.set(region, mapping)
      if (seed !== undefined) fillWords(wordsOf(mapping), seed)
      else if (value !== undefined) bytesOf(region).fill(value)
      return await endpoint.register(region, mapping, access)
    },
    registerAgain: ({ region, access }) => endpoint.register(region, mappings.get(region)!, access),
    deregister: ({ region }) => endpoint.deregister(region),
    admit: ({ session, rights }) => endpoint.admit(sessionOf(session), rights),
    dismiss: ({ id }) => endpoint.dismiss(id),
    async fill({ region, value }) {
      bytesOf(region).fill(value)
    },
    byte: async ({ region, offset }) => bytesOf(region)[offset]!,
    async others({ region, value }) {
      let count = 0
      for (const byte of bytesOf(region)) if (byte !== value) count += 1
      return count
    },
    async wrongWords({ region, seed }) {
      const words = wordsOf(mappings.get(region)!)
      let wrong = 0
      for (let i = 0; i < words.length; i++) if (words[i] !== wordAt(seed, i)) wrong += 1
      return wrong
    },
    async connect({ session, address, regions, millis }) {
      const options = { deadline: performance.now() + millis, peerHost: "127.0.0.1", regions }
      connection = await endpoint.connect(sessionOf(session), address, options)
    },
    async move({ direction, own, remote, offset = 0, length = remote.length, millis, times = 1 }) {
      const [from, to] = direction === "read" ? [remote.region, own] : [own, remote.region]
      const builder = new PlanBuilder(1)
      builder.add(from, offset, to, offset, length, 0)
      const plan = builder.finish()
      const deadline = performance.now() + millis
      let bytes = 0
      for (let i = 0; i < times; i++)
        bytes += (await connection!.move({ direction, plan, remote: [remote], deadline })).bytes
      return bytes
    },
    lost: async () => (await connection!.lost).message,
    async exit({ code }) {
      process.exit(code)
    },
    async close() {
      await endpoint[Symbol.asyncDispose]()
    },
  }
}

/** A whole mapping as words. */
export function wordsOf(mapping: HostMapping): Uint32Array {
  const bytes = mapping.view(0, mapping.byteLength)
  return new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(mapping.byteLength / 4))
}

export function fillWords(words: Uint32Array, seed: number): void {
  for (let i = 0; i < words.length; i++) words[i] = wordAt(seed, i)
}
