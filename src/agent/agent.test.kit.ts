/** Agents with real pools, real sockets and real fabrics, in one process. */
import { randomBytes } from "node:crypto"
import { blocksFor, type KvLayout, wholeModelLayout } from "../kv/kv-layout.ts"
import type { MappingOptions } from "../memory/host-memory.ts"
import { KvPool } from "../memory/kv-pool.ts"
import { monotonicClock } from "../os/clock.ts"
import { tcpControlNetwork } from "../os/control-net.ts"
import { hostMemory } from "../os/host-memory.ts"
import { loopback } from "../transport/loopback/loopback.ts"
import { tcp } from "../transport/tcp/tcp.ts"
import type { Endpoint, Transport } from "../transport/transport.ts"
import { plainHasher } from "../verify/hasher.ts"
import { type Agent, type AgentOptions, openAgent } from "./agent.ts"
import type { LeaseEnd } from "./lease-state.ts"
import type { PullOptions } from "./pull.ts"

export const shape = { layers: 3, kvHeads: 2, headDim: 8, elementBytes: 4 }
export const clusterSecret = randomBytes(32)

/** One agent with what it is made of. */
export interface Side extends AsyncDisposable {
  readonly agent: Agent
  readonly pool: KvPool
  readonly endpoints: Endpoint[]
}

/** Opens an agent over a pool of 32 blocks. */
export async function openSide(
  options: {
    layout?: KvLayout
    transports?: Transport[]
    secret?: Uint8Array
    pages?: MappingOptions
  } & Partial<AgentOptions> = {},
): Promise<Side> {
  const { layout = wholeModelLayout(shape, { blocks: 32 }), transports, secret, pages, ...more } = options
  const pool = new KvPool(layout, hostMemory, pages)
  const endpoints = await Promise.all(
    (transports ?? [loopback, tcp]).map((transport) => transport.open({ host: "127.0.0.1", rails: 1 })),
  )
  const closeRest = async (): Promise<void> => {
    for (const endpoint of endpoints) await endpoint[Symbol.asyncDispose]()
    pool[Symbol.dispose]()
  }
  const agent = await openAgent({
    party: { pid: process.pid, agentId: "test", bootId: randomBytes(16).toString("hex") },
    software: "test",
    model: "one",
    credentials: { secret: secret ?? clusterSecret },
    layout,
    spans: pool.spans,
    epochs: pool.epochs,
    endpoints,
    network: tcpControlNetwork,
    clock: monotonicClock,
    memory: hostMemory,
    hasher: plainHasher,
    ...more,
  }).catch(async (error: unknown) => {
    await closeRest()
    throw error
  })
  return {
    agent,
    pool,
    endpoints,
    async [Symbol.asyncDispose]() {
      await agent[Symbol.asyncDispose]()
      await closeRest()
    },
  }
}

/** Two agents, of which the source listens. */
export interface Pair extends AsyncDisposable {
  readonly source: Side
  readonly target: Side
  readonly address: string
}

/** Opens a source that listens and a target that may call it. */
export async function openPair(
  transports: Transport[],
  options: {
    readonly source?: Parameters<typeof openSide>[0]
    readonly target?: Parameters<typeof openSide>[0]
  } = {},
): Promise<Pair> {
  const source = await openSide({ transports, ...options.source })
  const target = await openSide({ transports, ...options.target })
  const { port } = await source.agent.listen("127.0.0.1", 0)
  return {
    source,
    target,
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      await target[Symbol.asyncDispose]()
      await source[Symbol.asyncDispose]()
    },
  }
}

/** Fills a pool with random numbers. */
export function fillRandom({ pool }: Side): void {
  for (const span of pool.spans) {
    const view = span.view(0, span.byteLength)
    const floats = new Float32Array(view.buffer, view.byteOffset, span.byteLength / 4)
    for (let i = 0; i < floats.length; i++) floats[i] = Math.random()
  }
}

/** Takes blocks for a sequence, and lends them; they go back to the pool when the lease ends. */
export function lendBlocks(
  side: Side,
  tokens: number,
  { lifetimeMillis = 60_000, access = "read" as "read" | "write" } = {},
): { lease: string; blocks: Uint32Array; ends: LeaseEnd[] } {
  const blocks = side.pool.allocator.allocate(blocksFor(tokens, side.pool.layout.blockTokens))
  const ends: LeaseEnd[] = []
  const onEnd = (why: LeaseEnd): void => {
    ends.push(why)
    side.pool.allocator.release(blocks)
  }
  return { lease: side.agent.lend({ blocks, tokens, access, lifetimeMillis, onEnd }), blocks, ends }
}

/** Fills a pool with random numbers, and lends a sequence of it. */
export function lendRandom(
  side: Side,
  tokens: number,
  lifetimeMillis = 60_000,
): ReturnType<typeof lendBlocks> {
  fillRandom(side)
  return lendBlocks(side, tokens, { lifetimeMillis })
}

/** What a pull of a lease into fresh blocks is told. */
export function pullOf(
  lease: string,
  tokens: number,
  side: Side,
  more: Partial<PullOptions> = {},
): PullOptions {
  const into = side.pool.allocator.allocate(blocksFor(tokens, side.pool.layout.blockTokens))
  return {
    requestId: "r",
    trace: "t",
    lease,
    tokens,
    into,
    integrity: "full",
    timeoutMillis: 20_000,
    ...more,
  }
}
