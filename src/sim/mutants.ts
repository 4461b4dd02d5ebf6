import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import type { Mutation, Patch } from "./mutations.ts"
import { type Violation, violationText } from "./promise-broken.ts"
import type { playSchedule } from "./schedule.ts"

/** The compiled sources that this runs from, and the rooms of them that a schedule is made of. */
const compiled = fileURLToPath(new URL("..", import.meta.url))
const rooms = [
  ...["agent", "errors", "kv", "memory", "movers", "plan", "receipt", "sim"],
  ...["terminal", "transport", "verify", "wire"],
]

/** The seed at which a broken world was convicted, and of what. */
export interface Conviction {
  readonly seed: number
  readonly text: string
}

/**
 * Plays schedules in a world that is broken on purpose, until a promise is seen to be broken as it should.
 *
 * A breakage of the agents is one of a copy of the compiled sources; this process runs the copy beside the original.
 * @returns the conviction; undefined when nothing of the kind was noticed in so many schedules.
 * @throws when a patch fits nowhere: the sources have changed, and the mutation must follow.
 */
export async function convict(
  { patches = [], settings = {}, convicts }: Mutation,
  { first, count }: { readonly first: number; readonly count: number },
): Promise<Conviction | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-mutant-"))
  try {
    const play = patches.length === 0 ? await load(compiled) : await load(copyWith(folder, patches))
    for (let seed = first; seed < first + count; seed++) {
      const { violations } = await play({ seed, ...settings })
      const text = violations
        .map((violation: Violation) => violationText(violation))
        .find((said) => convicts.test(said))
      if (text !== undefined) return { seed, text }
    }
    return undefined
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function load(folder: string): Promise<typeof playSchedule> {
  const url = pathToFileURL(join(folder, "sim", "schedule.js")).href
  const module = (await import(url)) as { playSchedule: typeof playSchedule }
  return module.playSchedule
}

function copyWith(folder: string, patches: readonly Patch[]): string {
  const copy = join(folder, "dist")
  for (const room of rooms) {
    cpSync(join(compiled, room), join(copy, room), {
      recursive: true,
      filter: (path) => !/[.](map|d[.]ts|test[.]js)$/.test(path),
    })
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }')
  symlinkSync(join(compiled, "..", "node_modules"), join(folder, "node_modules"))
  for (const { file, find, put } of patches) {
    const path = join(copy, file)
    const parts = readFileSync(path, "utf8").split(find)
    if (parts.length !== 2)
      throw new Error(
        `${JSON.stringify(find)} stands ${parts.length - 1} times in ${file}: mend src/sim/mutations.ts`,
      )
    writeFileSync(path, parts.join(put))
  }
  return copy
}
