import type { SimFabric } from "./fabric/fabric.ts"
import type { SimNetwork } from "./network.ts"
import type { Life, SimNode } from "./node.ts"
import type { World } from "./world.ts"

/** Most timers that a schedule's little work can need in one process. */
const timersMost = 400
/** Time in which everything must have ended by itself, once everything works, and for a close. Milliseconds. */
const most = { rest: 9000, close: 6000 } as const

/** Until a process that goes on has had what waited for it. Milliseconds. */
const wakeMillis = 1

interface Setting {
  readonly world: World
  readonly fabrics: readonly SimFabric[]
  readonly nodes: readonly SimNode[]
  /** Bound on the actions of a phase. */
  readonly most: number
}

/** Runs until everything has ended by itself, and says what has not. */
export async function comeToRest(
  { world, nodes, fabrics, most: actionsMost }: Setting,
  done: () => boolean,
): Promise<number> {
  // A session that was let in while its caller left is taken back a moment later: that is waited for, but not for ever.
  const rest = (): boolean =>
    done() &&
    nodes.every(({ life }) => life !== undefined && left(life) === undefined && !strangersIn(life, fabrics))
  // What waited for a paused process comes first: it may be more work.
  let actions = await world.timeline.run(world.now + wakeMillis, actionsMost)
  actions += await world.timeline.run(world.now + most.rest, actionsMost, rest)
  for (const node of nodes) checkAtRest(world, node, fabrics)
  if (!done()) world.broken("P7", "world", "requests are still open, though nothing goes wrong")
  return actions
}

/** What a life still holds, in words; undefined when it is nothing. */
function left({ agent, pool }: Life): string | undefined {
  const taken = pool.layout.blocks - pool.allocator.free
  if (taken !== 0) return `${taken} blocks never came back`
  return agent.openLeases === 0 ? undefined : `${agent.openLeases} leases never ended`
}

function checkAtRest(world: World, { life, traits }: SimNode, fabrics: readonly SimFabric[]): void {
  if (life === undefined) return world.broken("P7", traits.name, "it is not up, though nothing goes wrong")
  const what = left(life)
  if (what !== undefined) world.broken("P7", life.process.name, what)
  // Each fabric lets a caller in once; one that is there no more is let in nowhere.
  for (const { name, admitted, callers } of admissions(life, fabrics)) {
    if (admitted > callers)
      world.broken("P6", life.process.name, `${name} lets ${admitted} sessions in, of ${callers} callers`)
  }
  const { timersPeak, name } = life.process
  if (timersPeak > timersMost) world.broken("P8", name, `${timersPeak} timers at once`)
}

/** Closes everything, and looks for what was left behind. */
export async function closeAll(setting: Setting & { readonly network: SimNetwork }): Promise<number> {
  const { world, nodes, network, fabrics } = setting
  let actions = await comeToRest(setting, () => true)
  let closed = 0
  for (const { life } of nodes) {
    life?.process.deliver(() => {
      const over = (): void => {
        closed += 1
      }
      close(life).then(over, (error: unknown) =>
        world.broken("alive", life.process.name, `its close: ${String(error)}`),
      )
    })
  }
  const lives = nodes.flatMap(({ life }) => (life === undefined ? [] : [life]))
  const gone = (): boolean =>
    closed === nodes.length &&
    lives.every(({ process }) => process.timers === 0 && network.openOf(process).length === 0)
  actions += await world.timeline.run(world.now + most.close, setting.most, gone)
  if (closed !== nodes.length) world.broken("P7", "world", `${closed} of ${nodes.length} agents closed`)
  for (const { process } of lives) {
    const { timers, name } = process
    if (timers !== 0) world.broken("P7", name, `${timers} timers are left after the close`)
    const sockets = network.openOf(process).length
    if (sockets !== 0) world.broken("P7", name, `${sockets} channels are left after the close`)
  }
  for (const { endpoints, name } of fabrics)
    if (endpoints.size !== 0) world.broken("P7", name, "endpoints are left after the close")
  return actions
}

async function close({ agent, endpoints, pool }: Life): Promise<void> {
  await agent[Symbol.asyncDispose]()
  for (const endpoint of endpoints) await endpoint[Symbol.asyncDispose]()
  pool[Symbol.dispose]()
}

/** How many sessions each fabric lets in at one life, and how many callers that has. */
function admissions(
  life: Life,
  fabrics: readonly SimFabric[],
): { readonly name: string; readonly admitted: number; readonly callers: number }[] {
  const { callers } = life.agent.connections
  return fabrics.map(({ endpoints, name }) => {
    const ours = [...endpoints.values()].filter(({ process }) => process === life.process)
    const sessions = ours.flatMap((endpoint) => [...endpoint.sessions.values()])
    return { name, admitted: sessions.filter(({ leaving }) => !leaving).length, callers }
  })
}

const strangersIn = (life: Life, fabrics: readonly SimFabric[]): boolean =>
  admissions(life, fabrics).some(({ admitted, callers }) => admitted > callers)
