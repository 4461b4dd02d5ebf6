import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { FileTree } from "./rdma-devices.ts"

/** A machine's files as they were recorded: texts, links by their last part, and files that may not be opened. */
export interface RecordedTree {
  readonly files: Readonly<Record<string, string>>
  readonly links?: Readonly<Record<string, string>>
  readonly unusable?: readonly string[]
}

/** @param name of a file in `src/os/fixtures`. */
export function recordedTree(name: string): RecordedTree {
  const path = fileURLToPath(new URL(`../../src/os/fixtures/${name}`, import.meta.url))
  return JSON.parse(readFileSync(path, "utf8")) as RecordedTree
}

/** The same questions, answered from a record. */
export function treeOf({ files, links = {}, unusable = [] }: RecordedTree): FileTree {
  const paths = [...Object.keys(files), ...Object.keys(links)]
  return {
    list(path) {
      const below = paths.filter((other) => other.startsWith(`${path}/`))
      if (below.length === 0) return undefined
      return [...new Set(below.map((other) => other.slice(path.length + 1).split("/")[0]!))].sort()
    },
    read: (path) => files[path],
    linkName: (path) => links[path],
    has: (path) => paths.some((other) => other === path || other.startsWith(`${path}/`)),
    usable: (path) => path in files && !unusable.includes(path),
  }
}
