import type { SimNode } from "./node.ts"
import type { World } from "./world.ts"

/** Most timers and queued bytes that a schedule's little work can need. */
const most = { timers: 400, queuedBytes: 2 ** 20 } as const

/** When everything has ended, nothing is held: no block, no lease, and no timer that somebody waits for. */
export function checkAtRest(world: World, node: SimNode): void {
  const { life } = node
  if (life === undefined)
    return world.broken("P7", node.traits.name, "it is not up, though nothing goes wrong")
  const { agent, pool, process } = life
  const taken = pool.layout.blocks - pool.allocator.free
  if (taken !== 0) world.broken("P7", process.name, `${taken} blocks never came back`)
  if (agent.openLeases !== 0) world.broken("P7", process.name, `${agent.openLeases} leases never ended`)
  if (process.timersPeak > most.timers)
    world.broken("P8", process.name, `${process.timersPeak} timers at once`)
}
