/** Agents in one process without a socket or a timer of the system: under a clock that stands still until it is told. */
import { withEndpoints } from "../promises/changed-endpoint.test.kit.ts"
import { loopback } from "../transport/loopback/loopback.ts"
import type { Rights, Transport } from "../transport/transport.ts"
import { openSide, type Side } from "./agent.test.kit.ts"
import { delivered, FakeClock, MemoryNetwork } from "./in-memory.test.kit.ts"

/** Loopback that keeps count of the sessions which its endpoints let in. */
export function countedLoopback(): { readonly transport: Transport; readonly sessions: Map<string, Rights> } {
  const sessions = new Map<string, Rights>()
  return {
    sessions,
    transport: withEndpoints(loopback, (inner) => ({
      admit: (session, rights) => {
        sessions.set(session.id, rights)
        return inner.admit(session, rights)
      },
      dismiss: (sessionId) => {
        sessions.delete(sessionId)
        return inner.dismiss(sessionId)
      },
    })),
  }
}

/** Two quiet agents, of which the source listens at port 1. */
export interface Quiet extends AsyncDisposable {
  readonly clock: FakeClock
  readonly network: MemoryNetwork
  readonly sessions: ReadonlyMap<string, Rights>
  /** Loopback whose sessions are counted. */
  readonly transport: Transport
  readonly source: Side
  readonly target: Side
  readonly address: string
  /** Lets what was begun go on, without time passing. */
  settle(): Promise<void>
  /** Lets time pass in steps, with what it sets off. */
  pass(millis: number, step?: number): Promise<void>
}

/** Opens them. The fabric's own deadlines are of the real clock, which never gets as far as this one. */
export async function openQuiet(
  options: { source?: Parameters<typeof openSide>[0]; target?: Parameters<typeof openSide>[0] } = {},
): Promise<Quiet> {
  const clock = new FakeClock(1e12)
  const network = new MemoryNetwork()
  const { transport, sessions } = countedLoopback()
  const shared = { transports: [transport], clock, network }
  const source = await openSide({ ...shared, ...options.source })
  const target = await openSide({ ...shared, ...options.target })
  await source.agent.listen("memory", 1)
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) await delivered()
  }
  return {
    clock,
    network,
    sessions,
    transport,
    source,
    target,
    address: "memory:1",
    settle,
    async pass(millis, step = 100) {
      for (let passed = 0; passed < millis; passed += step) {
        clock.advance(Math.min(step, millis - passed))
        await delivered()
      }
      await settle()
    },
    async [Symbol.asyncDispose]() {
      await target[Symbol.asyncDispose]()
      await source[Symbol.asyncDispose]()
    },
  }
}
