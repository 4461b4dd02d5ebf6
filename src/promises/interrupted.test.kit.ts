import { partOfPlan } from "../transport/fault/part-of-plan.ts"
import type { Connection, MoveRequest, Transport } from "../transport/transport.ts"
import { withEndpoints } from "./changed-endpoint.test.kit.ts"

/** What happens in the middle of a move, when `at` bytes of it have landed. Undefined for a move that is left alone. */
export type Interruption = (
  request: MoveRequest,
) => { readonly at: number; readonly meanwhile: () => Promise<void> | void } | undefined

/** A transport whose moves stop at a byte, let something happen, and go on: each half is a move of the one inside. */
export function interrupted(transport: Transport, interruption: Interruption): Transport {
  return withEndpoints(transport, (inner) => ({
    connect: async (...how) => interruptedConnection(await inner.connect(...how), interruption),
  }))
}

function interruptedConnection(inner: Connection, interruption: Interruption): Connection {
  // Hashes are left to the caller: a half of a plan does not hold every unit whole.
  const move: Connection["move"] = async ({ deadline, signal, hashes: _, ...request }) => {
    const stop = interruption(request)
    const how = signal === undefined ? { deadline } : { deadline, signal }
    if (stop === undefined) return inner.move({ ...request, ...how })
    const { plan } = request
    const part = async (from: number, to: number): Promise<void> => {
      const some = partOfPlan(plan, from, to)
      if (some.bytes > 0) await inner.move({ ...request, plan: some, ...how })
    }
    await part(0, stop.at)
    await stop.meanwhile()
    await part(stop.at, plan.bytes)
    const { bytes, pieces } = plan
    return { bytes, pieces, rails: [{ rail: 0, bytes }], retries: 0 }
  }
  return {
    transport: inner.transport,
    lost: inner.lost,
    move,
    prepare: (request) => {
      // For what the one inside refuses at once.
      const checked = inner.prepare(request)
      return {
        post: (options) => move({ ...request, ...options }),
        [Symbol.asyncDispose]: () => checked[Symbol.asyncDispose](),
      }
    },
    ...(inner.attach === undefined ? {} : { attach: (regions) => inner.attach!(regions) }),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  }
}
