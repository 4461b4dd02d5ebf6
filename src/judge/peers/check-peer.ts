import { fileURLToPath } from "node:url"
import { z } from "zod"
import { oneLine } from "../../terminal/one-line.ts"
import { type CommandEnd, runCommand } from "./run-command.ts"

/** One path of an engine, and whether it can be had here. */
export interface PeerPath {
  readonly path: string
  readonly usable: boolean
  /** The loader's or the engine's own words. */
  readonly why?: string
}

/** What an engine says of itself. */
export interface PeerCheck {
  readonly version: string
  readonly paths: readonly PeerPath[]
}

/** How a driver is started. */
export interface DriverStart {
  readonly python: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** An engine that has not loaded by then never will. */
const checkMillisMax = 60_000

const text = z.string().max(4000)
const form = z.union([
  z.object({ error: text }),
  z.object({
    version: z.string().max(80),
    paths: z
      .array(z.object({ path: z.string().max(80), usable: z.boolean(), why: text.exactOptional() }))
      .max(40),
  }),
])

/** The Python files that drive engines of others. */
export const driverFolder = fileURLToPath(new URL("../../../tools/engines/", import.meta.url))

/** Starts a driver that loads its engine, says what it has found, and ends. An answer with `error` says why it does not. */
export async function checkPeer(
  { python, args, env }: DriverStart,
  signal?: AbortSignal,
  millisMax = checkMillisMax,
): Promise<PeerCheck | { readonly error: string }> {
  let ended: CommandEnd
  try {
    ended = await runCommand(python, [...args, "--check"], {
      env: { ...process.env, ...env },
      signal,
      millisMax,
    })
  } catch (thrown) {
    if (signal?.aborted === true) throw thrown
    return { error: oneLine(`${python} does not start: ${String(thrown)}`, 300) }
  }
  const read = form.safeParse(parsed(ended.stdout))
  if (read.success) {
    if ("error" in read.data) return { error: oneLine(read.data.error, 600) }
    const paths = read.data.paths.map(({ why, ...path }) => ({
      ...path,
      ...(why === undefined ? {} : { why: oneLine(why, 600) }),
    }))
    return { version: oneLine(read.data.version, 80), paths }
  }
  const last = oneLine(ended.output.trimEnd().split("\n").at(-1) ?? "", 300)
  return { error: `its driver ${howItEnded(ended, millisMax)}${last === "" ? "" : `: ${last}`}` }
}

function howItEnded({ code, signal, late }: CommandEnd, millisMax: number): string {
  if (late) return `had not loaded it after ${millisMax / 1000} s`
  return signal === undefined ? `ended with code ${code}, and no answer` : `was ended by ${signal}`
}

/** The last line is the answer: some engines print before. */
function parsed(stdout: string): unknown {
  try {
    return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")
  } catch {
    return undefined
  }
}
