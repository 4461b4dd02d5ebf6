/**
 * An agent as a process of its own, told what to do by lines of JSON on standard input: `[id, command, ...arguments]`.
 * It answers `[id, result]` or `[id, null, error code]`. It ends when its standard input does.
 *
 * Started as `node agent-process.test.kit.js TRANSPORT SECRET TIMES OFFERS`.
 */
import { kill } from "node:process"
import { createInterface } from "node:readline"
import { fillRandom, lendBlocks, openSide, pullOf } from "../agent/agent.test.kit.ts"
import type { TicketEvent } from "../agent/ticket-state.ts"
import { openCrew } from "../movers/thread-crew.ts"
import { createCma } from "../transport/cma/cma.ts"
import { createNixl } from "../transport/nixl/nixl.ts"
import { nixlLibrary } from "../transport/nixl/nixl-here.test.kit.ts"
import { createShm } from "../transport/shm/shm.ts"
import { tcp } from "../transport/tcp/tcp.ts"
import type { Transport } from "../transport/transport.ts"
import { plainHasher } from "../verify/hasher.ts"

const [name, secret, times, offers] = process.argv.slice(2) as [string, string, string, string]
const crew = await openCrew({ threads: 1 })
/** What this process does to itself at a step of its next ticket. */
let atStep: { event: TicketEvent | "hash"; signal: NodeJS.Signals } | undefined
const reached = (event: TicketEvent | "hash"): void => {
  if (atStep?.event !== event) return
  const { signal } = atStep
  atStep = undefined
  kill(process.pid, signal)
}
const named: Readonly<Record<string, Transport>> = {
  tcp,
  shm: createShm({ crew }),
  cma: createCma({ crew }),
  nixl: createNixl({ library: nixlLibrary }),
}
const side = await openSide({
  transports: [named[name]!],
  secret: Buffer.from(secret, "hex"),
  times: JSON.parse(times),
  offers: JSON.parse(offers),
  onStep: { ticket: (_from, event) => reached(event) },
  hasher: {
    hash(...what) {
      reached("hash")
      return plainHasher.hash(...what)
    },
  },
})
const { agent, pool } = side
const leases = new Map<string, ReturnType<typeof lendBlocks>>()

const commands: Record<string, (...args: never[]) => unknown> = {
  listen: (port: number) => agent.listen("127.0.0.1", port),
  lend: (tokens: number, access: "read" | "write" = "read") => {
    fillRandom(side)
    const lent = lendBlocks(side, tokens, { access })
    leases.set(lent.lease, lent)
    return lent.lease
  },
  ends: (lease: string) => leases.get(lease)!.ends,
  state: () => ({ free: pool.allocator.free, leases: agent.openLeases, ...agent.connections }),
  /** Pulls one sequence; `signal` is what this process sends itself when its ticket takes the step `event`. */
  pull: async (
    address: string,
    lease: string,
    tokens: number,
    more: object,
    event?: TicketEvent,
    signal?: NodeJS.Signals,
  ) => {
    const peer = await agent.connect(address, 5000)
    if (event !== undefined) atStep = { event, signal: signal! }
    const options = pullOf(lease, tokens, side, more)
    try {
      return await agent.pull(peer, options).receipt
    } finally {
      pool.allocator.release(options.into)
    }
  },
  close: () => agent[Symbol.asyncDispose](),
}

const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`)
const lines = createInterface({ input: process.stdin })
lines.on("line", (line) => {
  const [id, command, ...args] = JSON.parse(line) as [number, string, ...never[]]
  Promise.resolve()
    .then(() => commands[command]!(...args))
    .then(
      (result) => say([id, result ?? null]),
      (thrown: unknown) => say([id, null, String((thrown as { code?: string }).code ?? thrown)]),
    )
})
lines.on("close", () => process.exit(0))
say([0, process.pid])
