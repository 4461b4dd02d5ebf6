/** Another process with a region, and this one connected to it over RDMA: what tests of both fabrics do with them. */
import assert from "node:assert/strict"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import { wordAt, wordsOf } from "../peer-orders.test.kit.ts"
import { newSession, type PeerProcess } from "../peer-process.test.kit.ts"
import type { Connection, Endpoint, Move, Moved, RegionDescriptor } from "../transport.ts"

export const mib = 2 ** 20
export const ownRegion = 7
export const peerRegion = 3
/** What the words of the peer's region are. */
export const peerSeed = 1
export const both = { read: true, write: true }
export const soon = (millis = 20_000): number => performance.now() + millis
export const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** A peer with region 3, whose words say where they are, and a connection to it from here, where region 7 is as long. */
export interface Rig<Peer extends PeerProcess = PeerProcess> extends AsyncDisposable {
  readonly peer: Peer
  readonly endpoint: Endpoint
  readonly connection: Connection
  readonly span: HostMapping
  remote: RegionDescriptor
}

/**
 * @param starting the peer
 * @param opening this side's endpoint
 * @param bytes of either region
 */
export async function openRig<Peer extends PeerProcess>(
  starting: Promise<Peer>,
  opening: Promise<Endpoint>,
  bytes: number,
): Promise<Rig<Peer>> {
  const [peer, endpoint] = await Promise.all([starting, opening])
  const span = hostMemory.map(bytes, "rdma-rig")
  let connection: Connection | undefined
  const close = async (): Promise<void> => {
    await connection?.[Symbol.asyncDispose]()
    await endpoint[Symbol.asyncDispose]()
    await peer[Symbol.asyncDispose]()
    span[Symbol.dispose]()
  }
  try {
    const order = { region: peerRegion, byteLength: bytes, access: both, seed: peerSeed }
    const remote = await peer.tell("register", order)
    const session = newSession()
    await peer.admit(session, both)
    span.view(0, bytes).fill(0)
    await endpoint.register(ownRegion, span, both)
    const options = { deadline: soon(), peerHost: "127.0.0.1" }
    connection = await endpoint.connect(session, peer.address, options)
    return { peer, endpoint, connection, span, remote, [Symbol.asyncDispose]: close }
  } catch (thrown) {
    await close()
    throw thrown
  }
}

/** The whole region, back to front in pieces of 64 KiB, dealt over the rails. */
export function wholePlan({ span, endpoint }: Rig, direction: Move["direction"]): TransferPlan {
  const length = 65536
  const builder = new PlanBuilder(span.byteLength / length)
  const [from, to] = direction === "read" ? [peerRegion, ownRegion] : [ownRegion, peerRegion]
  for (let at = span.byteLength - length; at >= 0; at -= length) builder.add(from, at, to, at, length, 0)
  return stripe(builder.finish(), endpoint.rails)
}

/** Moves the whole region. */
export function move(
  rig: Rig,
  direction: Move["direction"],
  how: { readonly deadline?: number; readonly signal?: AbortSignal } = {},
): Promise<Moved> {
  const plan = wholePlan(rig, direction)
  return rig.connection.move({ direction, plan, remote: [rig.remote], deadline: soon(), ...how })
}

export const words = ({ span }: Rig): Uint32Array => wordsOf(span)

/** Every byte here is the peer's. */
export function assertRight(rig: Rig): void {
  const found = words(rig)
  const wrong = found.findIndex((word, i) => word !== wordAt(peerSeed, i))
  assert.equal(wrong, -1, `word ${wrong} is 0x${found[wrong]?.toString(16)}`)
}

/** Nothing is written here any more. */
export async function assertLeftAlone(rig: Rig, millis = 200): Promise<void> {
  words(rig).fill(0x11111111)
  await pause(millis)
  assert.equal(
    words(rig).findIndex((word) => word !== 0x11111111),
    -1,
  )
}

/** How many words of the peer's region are not what they were at first. */
export const wrongWordsThere = ({ peer }: Rig): Promise<number> =>
  peer.tell("wrongWords", { region: peerRegion, seed: peerSeed })

export async function failure(action: Promise<unknown>): Promise<KvError> {
  try {
    await action
  } catch (thrown) {
    assert.ok(thrown instanceof KvError, String(thrown))
    return thrown
  }
  return assert.fail("it did not fail")
}

/** Moves again and again until one fails; `limit` moves that all end well are a failure of the test. */
export async function untilFailed(attempt: () => Promise<unknown>, limit = 400): Promise<KvError> {
  for (let i = 0; i < limit; i++) {
    try {
      await attempt()
    } catch (thrown) {
      assert.ok(thrown instanceof KvError, String(thrown))
      return thrown
    }
  }
  return assert.fail(`${limit} moves all ended well`)
}
