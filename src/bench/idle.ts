import { setTimeout as sleep } from "node:timers/promises"
import type { Peers } from "./peers/peers.ts"
import type { SidePair } from "./side-pair.ts"
import { laneText } from "./sides/lanes.ts"

/** Cores that a connected pair keeps busy while nothing moves. */
export interface IdleResult {
  readonly name: string
  readonly role: "kvferry" | "peer"
  readonly sourceCores: number
  readonly targetCores: number
}

/** Does nothing for some seconds, with everything open and connected: kvferry first, then each peer. */
export async function measureIdle(pair: SidePair, peers: Peers, seconds: number): Promise<IdleResult[]> {
  // What the last run left to collect or to park is not idleness.
  await sleep(500)
  const [before, started] = [await pair.cpu(), performance.now()]
  await sleep(seconds * 1000)
  const [after, micros] = [await pair.cpu(), (performance.now() - started) * 1000]
  const results: IdleResult[] = [
    {
      name: pair.lanes.map(laneText).join(", "),
      role: "kvferry",
      sourceCores: (after.source - before.source) / micros,
      targetCores: (after.target - before.target) / micros,
    },
  ]
  for (const peer of peers.running) {
    const { source, target } = await peer.idle(seconds)
    results.push({ name: peer.kind.name, role: "peer", sourceCores: source, targetCores: target })
  }
  return results
}
