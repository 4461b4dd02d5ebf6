import { checkedLayout, type KvLayout, type KvOrder } from "../kv/kv-layout.ts"
import type { NodeTraits } from "./node.ts"
import { type ClusterCredentials, drawCredentials } from "./trust.ts"
import type { World } from "./world.ts"

/** One model: rows of eight bytes are enough to be told apart. */
const shape = { layers: 2, kvHeads: 4, headDim: 2, elementBytes: 4 }
const nodesOf = { least: 2, most: 4 } as const
const firstPort = 7000

/** The agents of a schedule, and the hosts that they run on. */
export interface Cluster {
  readonly hosts: readonly string[]
  readonly members: readonly NodeTraits[]
  readonly credentials: ClusterCredentials
}

/** Draws hosts, agents, layouts, paths, times and credentials. */
export function drawCluster(world: World): Cluster {
  const { shape: random } = world.random
  const hosts = Array.from({ length: random.between(1, 3) }, (_, i) => `10.0.0.${i + 1}`)
  const names = [..."abcdefgh"].slice(0, random.between(nodesOf.least, nodesOf.most))
  const credentials = drawCredentials(world, names)
  const oneRange = random.chance(0.65)
  const times = {
    holdMillis: 600,
    holdMillisMax: random.pick([10_000, 900]),
    handshakeMillis: 500,
    grantMillis: random.pick([2500, 300]),
  }
  const members = names.map((name, i): NodeTraits => {
    const proves = credentials.of(name)
    return {
      name,
      host: random.pick(hosts),
      port: firstPort + i,
      layout: drawLayout(world, oneRange),
      ...proves,
      integrity: "full",
      integrityFloor: random.pick(["none", "none", "epoch"]),
      offers: { read: true, write: random.chance(0.9) },
      times,
      paths: random.pick([
        ["mapped", "nic", "stream"],
        ["mapped", "stream"],
        ["mapped", "nic", "stream"],
        ["stream", "mapped"],
        ["nic", "stream"],
        ["stream", "nic"],
        ["stream"],
      ]),
    }
  })
  return { hosts, members, credentials }
}

function drawLayout(world: World, oneRange: boolean): KvLayout {
  const { shape: random } = world.random
  const range = random.pick([
    [0, 4],
    [0, 2],
    [2, 2],
    [1, 2],
  ] as const)
  const [firstHead, heads] = oneRange ? [0, 4] : range
  return checkedLayout({
    shape,
    order: random.pick<KvOrder>(["head-major", "token-major"]),
    blocks: random.between(7, 20),
    blockTokens: random.between(1, 4),
    firstHead,
    heads,
  })
}
