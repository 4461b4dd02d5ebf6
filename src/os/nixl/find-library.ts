import { existsSync, readdirSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { KvError } from "../../errors/kv-error.ts"

const fileName = "libnixl_capi.so"

/**
 * Where NIXL's C library is: the file that was named, else the first one in an installed Python wheel.
 *
 * @throws KvError KV_TRANSPORT_UNAVAILABLE saying what was looked for and where.
 */
export function findNixlLibrary(named: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  if (named !== undefined) {
    if (existsSync(named)) return named
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `there is no file ${named}, which --nixl-lib names as NIXL's C library`,
      next: `name the ${fileName} of a NIXL of 1.5 or newer`,
    })
  }
  const folders = pythonFolders(env)
  for (const folder of folders) {
    for (const wheel of listed(folder).filter((name) => /^\.nixl_cu\d+\.mesonpy\.libs$/.test(name))) {
      const file = join(folder, wheel, fileName)
      if (existsSync(file)) return file
    }
  }
  throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
    what: `NIXL's C library, ${fileName}, was not found`,
    why: `looked for .nixl_cu*.mesonpy.libs/${fileName} in ${folders.join(", ") || "no folder: no Python has packages here"}`,
    next: "install NIXL 1.5 or newer (the wheel nixl-cu12 or nixl-cu13), or name the file with --nixl-lib",
  })
}

/** Folders of installed Python packages: of the active environment, the user's own, the system's. */
function pythonFolders(env: NodeJS.ProcessEnv): string[] {
  const active = [env["VIRTUAL_ENV"], env["CONDA_PREFIX"]].filter((root) => root !== undefined && root !== "")
  const roots = [...active, join(env["HOME"] ?? homedir(), ".local"), "/usr/local", "/usr"] as string[]
  return roots.flatMap((root) =>
    listed(join(root, "lib"))
      .filter((name) => /^python3(\.\d+)?$/.test(name))
      .flatMap((python) => ["site-packages", "dist-packages"].map((kind) => join(root, "lib", python, kind)))
      .filter((folder) => existsSync(folder)),
  )
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}
