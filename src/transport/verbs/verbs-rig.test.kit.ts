/** Another process with a region, and this one connected to it: for tests in the lab. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { KvError } from "../../errors/kv-error.ts"
import type { HostMapping } from "../../memory/host-memory.ts"
import { hostMemory } from "../../os/host-memory.ts"
import { stripe } from "../../plan/stripe.ts"
import { PlanBuilder, type TransferPlan } from "../../plan/transfer-plan.ts"
import type { Connection, Endpoint, Move, Moved, RegionDescriptor } from "../transport.ts"
import { createVerbs } from "./verbs.ts"
import { peerRegion, VerbsProcess, wordAt } from "./verbs-process.test.kit.ts"

export const mib = 2 ** 20
export const bytes = 4 * mib
export const ownRegion = 7
export const both = { read: true, write: true }
export const soon = (millis = 20_000): number => performance.now() + millis

export interface Rig extends AsyncDisposable {
  readonly peer: VerbsProcess
  readonly endpoint: Endpoint
  readonly connection: Connection
  readonly span: HostMapping
  remote: RegionDescriptor
}

/** Another process with a region of words that say where they are, and this one connected to it. */
export async function openRig(near: readonly string[], far: readonly string[] = near): Promise<Rig> {
  const peer = new VerbsProcess()
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  const { address, remote } = await peer.open(far, bytes, session, both)
  const verbs = createVerbs({ devices: near.map((device) => ({ device })), sliceBytes: 65536 })
  const endpoint = await verbs.open({ host: "127.0.0.1", rails: 1 })
  const span = hostMemory.map(bytes, "verbs-faults")
  await endpoint.register(ownRegion, span, both)
  const connection = await endpoint.connect(session, address, { deadline: soon(), peerHost: "127.0.0.1" })
  return {
    peer,
    endpoint,
    connection,
    span,
    remote,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]()
      await endpoint[Symbol.asyncDispose]()
      await peer[Symbol.asyncDispose]()
      span[Symbol.dispose]()
    },
  }
}

/** The whole region, back to front in pieces of `length` bytes, dealt over the rails. */
export function wholePlan(direction: Move["direction"], rails: number, length = 65536): TransferPlan {
  const builder = new PlanBuilder(bytes / length)
  const [from, to] = direction === "read" ? [peerRegion, ownRegion] : [ownRegion, peerRegion]
  for (let at = bytes - length; at >= 0; at -= length) builder.add(from, at, to, at, length, 0)
  return stripe(builder.finish(), rails)
}

export function move(
  rig: Rig,
  direction: Move["direction"],
  rails: number,
  deadline = soon(),
  signal?: AbortSignal,
): Promise<Moved> {
  return rig.connection.move({
    direction,
    plan: wholePlan(direction, rails),
    remote: [rig.remote],
    deadline,
    ...(signal === undefined ? {} : { signal }),
  })
}

export function words({ span }: Rig): Uint32Array {
  const view = span.view(0, bytes)
  return new Uint32Array(view.buffer, view.byteOffset, bytes / 4)
}

export function assertRight(rig: Rig): void {
  const found = words(rig)
  const wrong = found.findIndex((word, i) => word !== wordAt(i))
  assert.equal(wrong, -1, `word ${wrong} is 0x${found[wrong]?.toString(16)}`)
}

export async function assertLeftAlone(rig: Rig): Promise<void> {
  words(rig).fill(0x11111111)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(
    words(rig).findIndex((word) => word !== 0x11111111),
    -1,
  )
}

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

export const run = (command: string): void => void execFileSync("/bin/sh", ["-c", command], { stdio: "pipe" })
export const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))
