import { spawnSync } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const sources = fileURLToPath(new URL("../../../tools/ceilings/", import.meta.url))
const compilers = ["cc", "gcc", "clang"]
const flags = ["-O2", "-shared", "-fPIC", "-pthread"]
/** A compiler that takes longer hangs. */
const compileMillisMax = 60_000

/** The C ceilings as a library, or why there are none. */
export type BuiltCeilings =
  | { readonly file: string; readonly compiler: string }
  | { readonly file: undefined; readonly why: string }

/**
 * Compiles `tools/ceilings/*.c` if there is a compiler, into the user's cache, once for each version of the sources.
 *
 * The folder belongs to the user alone: what lies in it is loaded into our processes.
 */
export function buildCeilings(env: NodeJS.ProcessEnv = process.env): BuiltCeilings {
  if (!existsSync(sources)) return { file: undefined, why: "tools/ceilings is not in this installation" }
  const wanted = env["CC"] === undefined || env["CC"] === "" ? compilers : [env["CC"]]
  const compiler = wanted.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0)
  if (compiler === undefined)
    return { file: undefined, why: `no C compiler: ${wanted.join(", ")} were tried` }
  const files = readdirSync(sources)
    .filter((name) => /[.][ch]$/.test(name))
    .sort()
    .map((name) => join(sources, name))
  const folder = join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "kvferry", "ceilings")
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = statSync(folder)
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0) {
    return { file: undefined, why: `${folder} can be written by others than its user` }
  }
  const { stdout: version } = spawnSync(compiler, ["--version"], { encoding: "utf8" })
  const library = join(folder, `${hashOf(files, version)}.so`)
  if (existsSync(library)) return { file: library, compiler: firstLine(version) }
  const partial = join(folder, `${randomUUID()}.part`)
  const args = [...flags, "-o", partial, ...files.filter((file) => file.endsWith(".c"))]
  const { status, stderr } = spawnSync(compiler, args, { encoding: "utf8", timeout: compileMillisMax })
  if (status !== 0) {
    rmSync(partial, { force: true })
    return { file: undefined, why: `${compiler} failed: ${firstLine(stderr)}` }
  }
  renameSync(partial, library)
  return { file: library, compiler: firstLine(version) }
}

function hashOf(files: readonly string[], version: string): string {
  const hash = createHash("sha256").update(`${process.arch} ${flags.join(" ")} ${version}`)
  for (const file of files) hash.update(readFileSync(file))
  return hash.digest("hex").slice(0, 32)
}

const firstLine = (text: string): string => text.split("\n", 1)[0]!.trim()
