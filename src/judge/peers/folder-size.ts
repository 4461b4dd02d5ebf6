import { lstatSync, readdirSync } from "node:fs"
import { join } from "node:path"

/** Bytes of all files below `folder`; what vanishes meanwhile counts for nothing. */
export function bytesBelow(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    try {
      bytes += entry.isDirectory() ? bytesBelow(path) : lstatSync(path).size
    } catch {
      // It went away.
    }
  }
  return bytes
}
