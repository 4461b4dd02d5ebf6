import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import type { Progress } from "../../terminal/progress.ts"
import { sizeText } from "../../terminal/units.ts"
import { pipError, readPipLine } from "./pip-output.ts"
import { runCommand } from "./run-command.ts"

/** How often a download is looked at. */
const lookMillis = 200

export interface PipRun {
  /** The Python of the environment that is filled. */
  readonly python: string
  /** Temporary files go here, and nowhere else. */
  readonly temporary: string
  /** The folder that fills up, for error messages. */
  readonly folder: string
  readonly progress: Progress
  readonly signal?: AbortSignal | undefined
}

/**
 * Installs packages without what they depend on, through the user's own pip configuration: index, proxy, certificates, cache.
 *
 * Wheels alone: what must be compiled is refused, so nothing of a package runs while it is installed.
 *
 * @throws KvError as `pipError` tells it; KV_CANCELLED.
 */
export async function pipInstall(wanted: readonly string[], run: PipRun): Promise<void> {
  let label = `asking the package index for ${wanted.join(", ")}`
  let total: number | undefined
  const show = (): void => {
    if (total === undefined) return run.progress.update(label)
    const got = downloadedBytes(run.temporary)
    run.progress.update(`${label}, ${sizeText(got)} of ${sizeText(total)}`, got / total)
  }
  const timer = setInterval(show, lookMillis)
  try {
    const options = [
      "--no-deps",
      "--only-binary",
      ":all:",
      "--no-input",
      "--no-color",
      "--progress-bar",
      "off",
    ]
    const { code, output } = await runCommand(
      run.python,
      ["-I", "-m", "pip", "install", ...options, "--disable-pip-version-check", ...wanted],
      {
        // A setting of the user for installs elsewhere would lead out of the environment.
        env: { ...process.env, TMPDIR: run.temporary, PIP_USER: "0", PIP_REQUIRE_VIRTUALENV: "0" },
        signal: run.signal,
        line: (line) => {
          const step = readPipLine(line)
          if (step === undefined) return
          total = step.kind === "downloads" ? step.bytes : undefined
          label =
            step.kind === "installs" ? `unpacking ${wanted.join(", ")}` : `${verbs[step.kind]} ${step.what}`
          show()
        },
      },
    )
    if (code !== 0) throw pipError(wanted.join(", "), output, run.folder)
  } finally {
    clearInterval(timer)
  }
}

const verbs = { asks: "asking for", cached: "using the cached", downloads: "downloading" } as const

/** pip writes what it downloads into `pip-unpack-…` in its temporary folder: the largest file there is the one. */
function downloadedBytes(temporary: string): number {
  let most = 0
  try {
    for (const folder of readdirSync(temporary)) {
      if (!folder.startsWith("pip-unpack-")) continue
      for (const file of readdirSync(join(temporary, folder)))
        most = Math.max(most, statSync(join(temporary, folder, file)).size)
    }
  } catch {
    // It has moved on meanwhile.
  }
  return most
}
