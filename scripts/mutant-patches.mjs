/** The mutants: unified diffs of src/, each with a first line that says in words what is wrong. */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { root } from "./setup.mjs"

const folder = join(root, "mutants")

/** Rooms that only some engines are made of; what lies elsewhere is in all of them. */
const rooms = [
  { path: "src/transport/shm/", engines: ["shm"] },
  { path: "src/transport/cma/", engines: ["cma"] },
  { path: "src/transport/tcp/", engines: ["tcp"] },
  { path: "src/transport/rdma/", engines: ["libfabric", "verbs"] },
  { path: "src/transport/libfabric/", engines: ["libfabric"] },
  { path: "src/transport/verbs/", engines: ["verbs"] },
  { path: "src/transport/nixl/", engines: ["nixl"] },
  { path: "src/transport/copy-runs.ts", engines: ["shm", "cma"] },
]

/** @returns the listed mutants, or those of `patches`. */
export function readMutants({ only, patches }) {
  const files = patches?.map((file) => resolve(file)) ?? listed()
  const missing = files.find((file) => !existsSync(file))
  if (missing !== undefined) {
    process.stderr.write(`mutants: there is no file ${missing}\n`)
    process.exit(2)
  }
  const mutants = files.map((file) => read(file, patches !== undefined))
  if (only === undefined) return mutants
  return mutants.filter(({ name }) =>
    only.some((part) =>
      /^\d+$/.test(part) ? Number(name.split("-")[0]) === Number(part) : name.includes(part),
    ),
  )
}

/** Those whose patch fits nowhere any more: the sources have changed, and the mutant must follow. */
export function checkPatches(mutants) {
  return mutants.flatMap(({ name, file, files }) => {
    if (files.length === 0) return [{ name, why: "it is no unified diff of files below src/" }]
    const { status, stderr } = spawnSync("git", ["apply", "--check", file], { cwd: root, encoding: "utf8" })
    return status === 0 ? [] : [{ name, why: stderr.trim().split("\n").join("; ") }]
  })
}

function listed() {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".patch"))
    .sort((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10))
    .map((file) => join(folder, file))
}

function read(file, own) {
  const text = readFileSync(file, "utf8")
  const files = [...text.matchAll(/^\+\+\+ (?:b\/)?(src\/\S+)/gm)].map(([, path]) => path)
  const [first = ""] = text.split("\n")
  const words = /^(---|\+\+\+|diff |@@)/.test(first) ? "" : first
  return {
    name: basename(file).replace(/[.](patch|diff)$/, ""),
    file,
    words,
    files,
    own,
    touches: touching(files),
  }
}

/** Whether an engine (`kvferry:tcp`) has any of these files in it. */
function touching(files) {
  const engines = files.map((path) => rooms.find((room) => path.startsWith(room.path))?.engines)
  return (engine) => {
    const path = engine.split(":")[1]
    return engines.some(
      (names) => names === undefined || path === undefined || names.includes(path.split("-")[0]),
    )
  }
}
