import { existsSync, readdirSync, realpathSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { KvError } from "../../errors/kv-error.ts"
import { findLibrary } from "../../os/find-library.ts"
import { machines } from "./elf.ts"
import { readElfImports } from "./read-elf.ts"
import { standInLibrary } from "./stand-in-library.ts"

/** The driver of NVIDIA's GPUs, by the name that programs ask the loader for. */
export const cudaDriver = "libcuda.so.1"
/** `CUDA_ERROR_NO_DEVICE` @see cuda.h, `CUresult` */
const noDevice = 100
/** Functions of the driver are `cuInit`, `cuMemAlloc_v2`; `cuda…` and lower case names belong to others. */
const driverFunction = /^cu[A-Z][A-Za-z0-9_]*$/

/** The driver's functions that the libraries below `folder` import, sorted. */
export function driverFunctionsWanted(folder: string): string[] {
  const files = new Set<string>()
  for (const { name, parentPath, isDirectory } of entriesBelow(folder)) {
    const path = join(parentPath, name)
    // A link to nowhere is no library.
    if (!isDirectory && /[.]so([.]|$)/.test(name) && existsSync(path)) files.add(realpathSync(path))
  }
  const wanted = new Set<string>()
  for (const file of files) {
    const imports = readElfImports(file)
    if (imports?.needed.includes(cudaDriver) !== true) continue
    for (const name of imports.missing) if (driverFunction.test(name)) wanted.add(name)
  }
  return [...wanted].sort()
}

/** Whether this machine has the driver: then nothing stands in for it. */
export function hasCudaDriver(): boolean {
  return findLibrary(cudaDriver).file !== undefined
}

/**
 * Writes a library that answers "no device" to whatever the libraries below `folder` ask of the driver.
 *
 * @returns how many functions it has; 0 when nobody asks, and nothing is written then.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE for a processor that it cannot be written for.
 */
export function writeStandInCuda(folder: string, path: string, architecture: string = process.arch): number {
  const functions = driverFunctionsWanted(folder)
  if (functions.length === 0) return 0
  if (!isElfMachine(architecture)) {
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `no stand-in for ${cudaDriver} can be written for a processor of kind ${architecture}`,
      next: "install NVIDIA's driver, or use a machine with an x64 or arm64 processor",
    })
  }
  writeFileSync(
    path,
    standInLibrary({ soname: cudaDriver, functions, answer: noDevice, machine: architecture }),
  )
  return functions.length
}

const isElfMachine = (name: string): name is keyof typeof machines => Object.hasOwn(machines, name)

function entriesBelow(folder: string): { name: string; parentPath: string; isDirectory: boolean }[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const isDirectory = entry.isDirectory()
    const here = { name: entry.name, parentPath: folder, isDirectory }
    return isDirectory ? [here, ...entriesBelow(join(folder, entry.name))] : [here]
  })
}
