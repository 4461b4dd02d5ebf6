import { readdirSync } from "node:fs"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { Level } from "../driver/protocol.ts"
import type { EngineFamily } from "../engine-spec.ts"
import type { JudgeCase } from "./case.ts"
import { CaseFailed, hold, NotSupported } from "./case-failed.ts"
import { layOut } from "./lay-out.ts"
import { randomTables } from "./tables.ts"
import { type Pair, pairOf, smallCache, type World } from "./world.ts"

/** A path by the engine's own name, and the file that this machine must have for it. */
interface DevicePath {
  readonly path: string
  readonly device: string
}

const rdmaDevices = "/sys/class/infiniband"
/** Paths that want a device, so that the judge can tell by itself whether they can be here. */
const devicePaths: Readonly<Record<EngineFamily, readonly DevicePath[]>> = {
  kvferry: [{ path: "verbs", device: rdmaDevices }],
  nixl: [{ path: "GDS", device: "/proc/driver/nvidia-fs" }],
  mooncake: [
    { path: "rdma", device: rdmaDevices },
    { path: "efa", device: rdmaDevices },
  ],
}

const name = (path: string): string => JSON.stringify(path)

/** Opens two agents over a path and moves a little; the reason when that was refused. */
async function tryPath(
  world: World,
  level: Level,
  paths: readonly [string, string],
): Promise<string | undefined> {
  try {
    const scene = await world.scene({
      level,
      fresh: true,
      roles: [
        { name: "prefill", cache: smallCache, holds: "pattern", path: paths[0] },
        { name: "decode", cache: smallCache, holds: "poison", path: paths[1] },
      ],
    })
    const [source, target] = [scene.agent("prefill"), scene.agent("decode")]
    await moveLittle(world, { scene, source, target }, level)
    await scene.check()
    return undefined
  } catch (thrown) {
    if (thrown instanceof DriverFailed && thrown.kind === "error") return thrown.text
    // The transfer itself may be where it is said.
    if (thrown instanceof CaseFailed && thrown.finding.kind === "error") return thrown.finding.text
    throw thrown
  }
}

async function moveLittle(world: World, { scene, source, target }: Pair, level: Level): Promise<void> {
  const { random } = world
  const direction = "read"
  const transfer =
    level === "pieces"
      ? await scene.prepare(
          source,
          target,
          layOut(random, { lengths: [4096, 100], source, target, align: 8 }),
          { direction },
        )
      : await scene.prepareSequence(
          source,
          target,
          randomTables(random, source, target, 3 * source.cache.blockTokens),
          { direction },
        )
  await transfer.run()
}

/** A name that no engine knows. */
async function unknownPath(world: World, level: Level): Promise<void> {
  await pairOf(world, { level })
  for (const path of ["no-such-path", "rdma9"]) {
    const reason = await tryPath(world, level, [path, path])
    hold(
      reason !== undefined,
      "downgrade",
      `the path ${name(path)} was asked for, and bytes moved all the same`,
    )
    hold(reason.trim().length > 3, "no-reason", `the path ${name(path)} was refused without a reason`)
  }
}

/** A path that the engine knows and this machine does not have. */
async function absentPath(world: World, level: Level): Promise<void> {
  const pair = await pairOf(world, { level })
  // The usual way, to see that it is not the machine that refuses everything.
  await moveLittle(world, pair, level)
  const absent = devicePaths[world.engine.family].filter(({ device }) => !hasEntries(device))
  if (absent.length === 0)
    throw new NotSupported("this machine has all the devices whose paths were to be absent")
  for (const { path, device } of absent) {
    const reason = await tryPath(world, level, [path, path])
    const without = `the path ${name(path)} was asked for on a machine without a device in ${device}`
    hold(reason !== undefined, "downgrade", `${without}, and bytes moved all the same`)
    hold(reason.trim().length > 3, "no-reason", `${without}, and refused without a reason`)
  }
}

function hasEntries(folder: string): boolean {
  try {
    return readdirSync(folder).length > 0
  } catch {
    return false
  }
}

/** Each side wants another path: neither may be taken. */
async function noCommonPath(world: World, level: Level): Promise<void> {
  await pairOf(world, { level })
  const [ours, theirs] = ["tcp", "shm"]
  if (world.engine.family !== "kvferry")
    throw new NotSupported("its driver knows one path that two processes can share here")
  const reason = await tryPath(world, level, [ours!, theirs!])
  hold(
    reason !== undefined,
    "downgrade",
    `one side allows ${ours} alone and the other one ${theirs} alone, and bytes moved all the same`,
  )
  hold(reason.trim().length > 3, "no-reason", "two sides without a common path were refused without a reason")
}

const cases = [
  {
    name: "unknown-path",
    title: "A misspelt path is taken for any path, and nobody sees that RDMA is not used.",
    look: unknownPath,
  },
  {
    name: "absent-path",
    title: "A missing NIC turns into TCP, ten times slower, without a word.",
    look: absentPath,
  },
  {
    name: "no-common-path",
    title: "Two sides that allow no common path find one nobody has allowed.",
    look: noCommonPath,
  },
]

/** At both levels: an engine may choose the path of its sequences elsewhere than that of its pieces. */
export const downgrade: readonly JudgeCase[] = (["pieces", "blocks"] as const).flatMap((level) =>
  cases.map(
    ({ name, title, look }): JudgeCase => ({
      suite: "downgrade",
      name: level === "pieces" ? name : `${name}-${level}`,
      title,
      needs: [level, "read", "refuses-paths"],
      run: (world) => look(world, level),
    }),
  ),
)
