import { realpathSync } from "node:fs"
import { type FileTree, machineFiles } from "./rdma-devices.ts"

/** A shared library as the loader would find it, without loading it. */
export interface FoundLibrary {
  readonly name: string
  /** What the name stands for: its version is in its name. Absent when there is none. */
  readonly file?: string
  /** Where it was looked for. */
  readonly where: string
}

/** The loader's own list, of everything in its folders. */
const cacheFile = "/etc/ld.so.cache"
/** Folders that the loader looks into after its list. */
const lastFolders = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]

/**
 * Finds a library by the name that programs ask for: in LD_LIBRARY_PATH, in the loader's cache, in its last folders.
 *
 * @param libraryPath LD_LIBRARY_PATH as it was when this process started: the loader does not look again.
 * @see ld.so(8)
 */
export function findLibrary(
  name: string,
  files: FileTree = machineFiles,
  libraryPath = process.env["LD_LIBRARY_PATH"] ?? "",
): FoundLibrary {
  const first = libraryPath.split(":").filter((folder) => folder.startsWith("/"))
  const where = [...(first.length === 0 ? [] : ["LD_LIBRARY_PATH"]), cacheFile, ...lastFolders].join(", ")
  const inFolder = (folders: readonly string[]): string | undefined => {
    const folder = folders.find((place) => files.list(place)?.includes(name) === true)
    return folder === undefined ? undefined : `${folder}/${name}`
  }
  const file = inFolder(first) ?? cached(files, name) ?? inFolder(lastFolders)
  return { name, where, ...(file === undefined ? {} : { file: behindLinks(file) }) }
}

/** The cache is binary, but its names are texts with an end: the paths stand whole in it. */
function cached(files: FileTree, name: string): string | undefined {
  const paths = files.read(cacheFile)?.split("\0") ?? []
  return paths.find((path) => path.startsWith("/") && path.endsWith(`/${name}`) && !path.includes("\ufffd"))
}

function behindLinks(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}
