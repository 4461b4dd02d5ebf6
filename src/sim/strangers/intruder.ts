import { KvError } from "../../errors/kv-error.ts"
import { PlanBuilder } from "../../plan/transfer-plan.ts"
import type { SimFabric } from "../fabric/fabric.ts"
import type { EndpointPart } from "../fabric/parts.ts"
import { SimMemory } from "../memory.ts"
import type { SimProcess } from "../process.ts"
import type { Random } from "../random.ts"

/** Bytes that it wants to have, and how long it tries. Milliseconds. */
const loot = { bytes: 16, millis: 200 } as const

/**
 * One who has learnt the address of a fabric and tries the door: with a session that it made up, or with the name of
 * a real one and a key that it made up. A fabric that lets it in lets it read.
 */
export async function intrude(
  process: SimProcess,
  fabric: SimFabric,
  victim: EndpointPart,
  random: Random,
): Promise<void> {
  const key = Uint8Array.from({ length: 32 }, () => random.below(256))
  const known = [...victim.sessions.keys()]
  const id = known.length > 0 && random.chance(0.5) ? random.pick(known) : "ab".repeat(16)
  const endpoint = await fabric.of(process).open({ host: process.host, rails: 1 })
  const mapping = new SimMemory(process).map(loot.bytes, "loot")
  await endpoint.register(0, mapping, { read: true, write: true })
  const deadline = process.clock.now() + loot.millis
  try {
    const connection = await endpoint.connect({ id, key }, victim.address, {
      deadline,
      peerHost: victim.process.host,
    })
    const direction = random.pick(["read", "write"] as const)
    const builder = new PlanBuilder(1)
    builder.add(0, 0, 0, 0, loot.bytes, 0)
    const remote = [{ region: 0, length: loot.bytes, rkeys: [0], iova: 0 }]
    await connection.move({ direction, plan: builder.finish(), remote, deadline })
  } catch (thrown) {
    if (!(thrown instanceof KvError)) throw thrown
  } finally {
    await endpoint[Symbol.asyncDispose]()
  }
}
