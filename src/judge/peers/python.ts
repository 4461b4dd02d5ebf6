import { z } from "zod"
import { KvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"
import { runCommand } from "./run-command.ts"

/** A Python that environments can be made with. */
export interface BasePython {
  readonly command: string
  /** "3.11.7" */
  readonly version: string
}

const packages = "on Debian and Ubuntu: apt-get install python3 python3-venv; on Fedora: dnf install python3"
/** @see `requires_python` of the packages; they say nothing of the newest that they run on. */
const oldestMinor = 10
const askMillisMax = 20_000
const told = z.object({ version: z.string().max(40), missing: z.array(z.string().max(40)).max(9) })

const question = `
import importlib.util, json, platform
missing = [m for m in ("venv", "ensurepip") if importlib.util.find_spec(m) is None]
print(json.dumps({"version": platform.python_version(), "missing": missing}))`

/**
 * Looks whether `command` can make a virtual environment with pip in it.
 *
 * @throws KvError KV_OS saying what to install; KV_CANCELLED.
 */
export async function basePython(command: string, signal?: AbortSignal): Promise<BasePython> {
  const found = await asked(command, signal)
  if (found === undefined) {
    throw new KvError("KV_OS", {
      what: `no Python answers to ${oneLine(command, 120)}`,
      why: "peers are Python packages; they run in an environment that is made with the machine's Python",
      next: `install Python 3.10 or newer (${packages}), or name one with --python`,
    })
  }
  const [major = 0, minor = 0] = found.version.split(".").map(Number)
  if (major !== 3 || minor < oldestMinor) {
    throw new KvError("KV_OS", {
      what: `${oneLine(command, 120)} is Python ${oneLine(found.version, 40)}`,
      why: `the engines' packages want 3.${oldestMinor} or newer`,
      next: "name another Python: kvferry peers install --python PYTHON",
    })
  }
  if (found.missing.length > 0) {
    throw new KvError("KV_OS", {
      what: `${oneLine(command, 120)} (Python ${oneLine(found.version, 40)}) cannot make an environment: it has no module ${found.missing.join(" and no module ")}`,
      why: "distributions ship it in a package of its own",
      next: `install it (${packages}), or name another Python: kvferry peers install --python PYTHON`,
    })
  }
  return { command, version: found.version }
}

async function asked(
  command: string,
  signal: AbortSignal | undefined,
): Promise<z.infer<typeof told> | undefined> {
  try {
    const { code, stdout } = await runCommand(command, ["-I", "-c", question], {
      env: process.env,
      signal,
      millisMax: askMillisMax,
    })
    return code === 0 ? told.parse(JSON.parse(stdout)) : undefined
  } catch (thrown) {
    if (thrown instanceof KvError) throw thrown
    return undefined
  }
}
