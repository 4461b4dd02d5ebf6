/** What the contract's cases share: two endpoints with their memory, plans, and ways to look at what has moved. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import type { KvErrorCode } from "../errors/codes.ts"
import { KvError } from "../errors/kv-error.ts"
import type { HostMapping } from "../memory/host-memory.ts"
import { hostMemory } from "../os/host-memory.ts"
import { PlanBuilder, type TransferPlan } from "../plan/transfer-plan.ts"
import type { Connection, Endpoint, Move, RegionDescriptor, Rights, Session, Transport } from "./transport.ts"

export const mib = 2 ** 20
export const gib = 2 ** 30
export const regionBytes = 24 * mib
export const poison = 0xa5
/** What the next user of some memory writes there. */
export const nextUse = 0x11
/** A case that hangs fails under its own name, before its file is ended. */
export const caseMillisMax = 240_000

export type CaseName =
  | "busy main thread"
  | "cancel in mid-move"
  | "large regions"
  | "peer closes in mid-move"
  | "unequal rails"

/** Cases that a fabric cannot have, each with its reason. */
export type Skips = Partial<Record<CaseName, string>>

export interface Rig extends AsyncDisposable {
  readonly a: Endpoint
  readonly b: Endpoint
  readonly connection: Connection
  readonly session: Session
  readonly source: HostMapping
  readonly target: HostMapping
  readonly remote: RegionDescriptor[]
}

export const both: Rights = { read: true, write: true }
export const soon = (millis = 100_000): number => performance.now() + millis

export function newSession(): Session {
  return { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
}

export async function openRig(
  transport: Transport,
  options: { rails?: readonly [number, number]; rights?: Rights } = {},
): Promise<Rig> {
  const [railsA, railsB] = options.rails ?? [1, 1]
  const a = await transport.open({ host: "127.0.0.1", rails: railsA })
  const b = await transport.open({ host: "127.0.0.1", rails: railsB })
  const source = hostMemory.map(regionBytes, "contract-a")
  const target = hostMemory.map(regionBytes, "contract-b")
  // Every 4-byte word of A says where it is.
  const words = new Uint32Array(
    source.view(0, regionBytes).buffer,
    source.view(0, 4).byteOffset,
    regionBytes / 4,
  )
  for (let i = 0; i < words.length; i++) words[i] = i * 2654435761
  target.view(0, regionBytes).fill(poison)
  const remote = [await a.register(3, source, both)]
  await b.register(0, target, both)
  const session = newSession()
  await a.admit(session, options.rights ?? both)
  const connection = await b.connect(session, JSON.parse(JSON.stringify(a.address)), {
    deadline: soon(),
    peerHost: "127.0.0.1",
    regions: remote,
  })
  return {
    a,
    b,
    connection,
    session,
    source,
    target,
    remote,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
      await a[Symbol.asyncDispose]()
      source[Symbol.dispose]()
      target[Symbol.dispose]()
    },
  }
}

export type Piece = readonly [sourceOffset: number, targetOffset: number, length: number]

/** A plan from A's region 3 into B's region 0 for a read; the other way round for a write. */
export function planOf(direction: Move["direction"], pieces: readonly Piece[], rail = 0): TransferPlan {
  const builder = new PlanBuilder(pieces.length)
  const [from, to] = direction === "read" ? [3, 0] : [0, 3]
  for (const [source, target, length] of pieces) builder.add(from, source, to, target, length, rail)
  return builder.finish()
}

/** Asserts that `target` holds exactly what the pieces say, and poison everywhere else. */
export function assertMoved(source: Uint8Array, target: Uint8Array, pieces: readonly Piece[]): void {
  const expected = Buffer.alloc(target.byteLength, poison)
  for (const [from, to, length] of pieces) expected.set(source.subarray(from, from + length), to)
  if (Buffer.compare(expected, target) === 0) return
  const at = expected.findIndex((byte, i) => byte !== target[i])
  assert.fail(`byte ${at} is ${target[at]}, expected ${expected[at]}`)
}

export async function assertRejects(action: Promise<unknown>, code: KvErrorCode): Promise<void> {
  await assert.rejects(action, (error: unknown) => {
    assert.ok(error instanceof KvError, String(error))
    assert.equal(error.code, code, error.message)
    return true
  })
}

/** How long it is watched that nothing lands any more. */
const quietMillis = 50

/** The next user writes into all of it: whatever changes after that was written by somebody who must not any more. */
export async function assertQuiet(memory: HostMapping): Promise<void> {
  const bytes = memory.view(0, memory.byteLength)
  bytes.fill(nextUse)
  await sleep(quietMillis)
  assertAll(bytes, nextUse)
}

/** Asserts that all bytes are of one value. */
export function assertAll(bytes: Uint8Array, value: number): void {
  if (Buffer.compare(bytes, Buffer.alloc(bytes.byteLength, value)) === 0) return
  const at = bytes.findIndex((byte) => byte !== value)
  assert.fail(`byte ${at} is ${bytes[at]}, expected ${value}`)
}

/** Repeats an operation that races with its own end until the end wins; on a fast day it may have finished first. */
export async function untilRejected(attempt: () => Promise<unknown>): Promise<KvError> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await attempt()
    } catch (thrown) {
      assert.ok(thrown instanceof KvError, String(thrown))
      return thrown
    }
  }
  return assert.fail("100 attempts all finished before they could be stopped")
}

/** Small pieces in a shuffled order, none adjacent to the one before it. */
export function scattered(count: number, length: number): Piece[] {
  return Array.from({ length: count }, (_, i) => {
    const from = ((i * 7919) % count) * length * 2
    const to = ((i * 104729) % count) * length * 2 + length
    return [from, to, length] as const
  })
}
