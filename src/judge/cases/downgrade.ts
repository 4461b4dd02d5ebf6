import { DriverFailed } from "../driver/driver-failed.ts"
import type { EngineFamily } from "../engine-spec.ts"
import { CaseFailed, hold, type JudgeCase, NotSupported } from "./case.ts"
import { layOut } from "./lay-out.ts"
import { pairOf, smallCache, type World } from "./world.ts"

/** Paths that few machines have, as each engine calls them. */
const rarePaths: Readonly<Record<EngineFamily, readonly string[]>> = {
  kvferry: ["verbs", "nixl"],
  nixl: ["GDS", "UCCL"],
  mooncake: ["rdma", "efa"],
}

const name = (path: string): string => JSON.stringify(path)

/** Opens two agents over a path and moves a little; the reason when that was refused. */
async function tryPath(world: World, paths: readonly [string, string]): Promise<string | undefined> {
  try {
    const scene = await world.scene({
      level: "pieces",
      fresh: true,
      roles: [
        { name: "prefill", cache: smallCache, holds: "pattern", path: paths[0] },
        { name: "decode", cache: smallCache, holds: "poison", path: paths[1] },
      ],
    })
    const [source, target] = [scene.agent("prefill"), scene.agent("decode")]
    const pieces = layOut(world.random, { lengths: [4096, 100], source, target, align: 8 })
    await (await scene.prepare(source, target, pieces, { direction: "read" })).run()
    await scene.check()
    return undefined
  } catch (thrown) {
    if (thrown instanceof DriverFailed && thrown.kind === "error") return thrown.text
    // The transfer itself may be where it is said.
    if (thrown instanceof CaseFailed && thrown.finding.kind === "error") return thrown.finding.text
    throw thrown
  }
}

/** A name that no engine knows. */
async function unknownPath(world: World): Promise<void> {
  await pairOf(world, { level: "pieces" })
  for (const path of ["no-such-path", "rdma9"]) {
    const reason = await tryPath(world, [path, path])
    hold(
      reason !== undefined,
      "downgrade",
      `the path ${name(path)} was asked for, and bytes moved all the same`,
    )
    hold(reason.trim().length > 3, "no-reason", `the path ${name(path)} was refused without a reason`)
  }
}

/** A path that the engine knows and this machine does not have. */
async function absentPath(world: World): Promise<void> {
  const { scene, source, target } = await pairOf(world, { level: "pieces" })
  // The usual way, to see that it is not the machine that refuses everything.
  const pieces = layOut(world.random, { lengths: [4096], source, target, align: 8 })
  await (await scene.prepare(source, target, pieces, { direction: "read" })).run()
  const here: string[] = []
  for (const path of rarePaths[world.engine.family]) {
    if (path === world.engine.path) continue
    const reason = await tryPath(world, [path, path])
    if (reason === undefined) here.push(path)
    else hold(reason.trim().length > 3, "no-reason", `the path ${name(path)} was refused without a reason`)
  }
  if (here.length === rarePaths[world.engine.family].length)
    throw new NotSupported(`this machine has all the paths that were to be absent: ${here.join(", ")}`)
}

/** Each side wants another path: neither may be taken. */
async function noCommonPath(world: World): Promise<void> {
  await pairOf(world, { level: "pieces" })
  const [ours, theirs] = ["tcp", "shm"]
  if (world.engine.family !== "kvferry")
    throw new NotSupported("its driver knows one path that two processes can share here")
  const reason = await tryPath(world, [ours!, theirs!])
  hold(
    reason !== undefined,
    "downgrade",
    `one side allows ${ours} alone and the other one ${theirs} alone, and bytes moved all the same`,
  )
  hold(reason.trim().length > 3, "no-reason", "two sides without a common path were refused without a reason")
}

export const downgrade: readonly JudgeCase[] = [
  {
    suite: "downgrade",
    name: "unknown-path",
    title: "A misspelt path is taken for any path, and nobody sees that RDMA is not used.",
    needs: ["pieces", "read", "refuses-paths"],
    run: unknownPath,
  },
  {
    suite: "downgrade",
    name: "absent-path",
    title: "A missing NIC turns into TCP, ten times slower, without a word.",
    needs: ["pieces", "read", "refuses-paths"],
    run: absentPath,
  },
  {
    suite: "downgrade",
    name: "no-common-path",
    title: "Two sides that allow no common path find one nobody has allowed.",
    needs: ["pieces", "read", "refuses-paths"],
    run: noCommonPath,
  },
]
