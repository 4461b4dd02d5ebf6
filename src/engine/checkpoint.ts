import { existsSync } from "node:fs"
import { basename, join } from "node:path"
import { isJsonObject, kindOf, readJsonObject } from "./json-file.ts"
import { modelInvalid } from "./model-error.ts"
import { openSafetensors, type SafetensorsFile } from "./safetensors.ts"

/** The weights of a model folder, in one file or in several. */
export interface Checkpoint {
  /** True when a tensor of this name exists. */
  has(name: string): boolean
  /** The numbers of one tensor as fp32. @throws KvError KV_MODEL_INVALID as `SafetensorsFile.read` does. */
  read(name: string, shape: readonly number[]): Float32Array
  close(): void
}

const singleFile = "model.safetensors"
const indexFile = "model.safetensors.index.json"

/**
 * Opens `model.safetensors`, or the files that `model.safetensors.index.json` names.
 * @throws KvError KV_MODEL_INVALID when neither is there or one of them is broken.
 */
export function openCheckpoint(directory: string): Checkpoint {
  const indexPath = join(directory, indexFile)
  if (existsSync(join(directory, singleFile))) {
    const file = openSafetensors(join(directory, singleFile))
    return { has: (name) => file.tensors.has(name), read: file.read, close: file.close }
  }
  if (existsSync(indexPath)) return openSharded(directory, indexPath)
  throw modelInvalid(
    `${directory} holds no weights`,
    `there is neither ${singleFile} nor ${indexFile}`,
    "name a folder with a Hugging Face checkpoint in safetensors format",
  )
}

function openSharded(directory: string, indexPath: string): Checkpoint {
  const places = weightMap(indexPath)
  const files = new Map<string, SafetensorsFile>()
  const close = (): void => {
    for (const file of files.values()) file.close()
  }
  try {
    for (const name of new Set(places.values())) files.set(name, openSafetensors(join(directory, name)))
  } catch (error) {
    close()
    throw error
  }
  return {
    has: (name) => places.has(name),
    read: (name, shape) => {
      const file = files.get(places.get(name) ?? "")
      if (file === undefined) {
        throw modelInvalid(`tensor ${name} is missing in ${indexPath}, which names ${places.size} tensors`)
      }
      return file.read(name, shape)
    },
    close,
  }
}

/** Which file holds which tensor. */
function weightMap(indexPath: string): ReadonlyMap<string, string> {
  const map = readJsonObject(indexPath)["weight_map"]
  if (!isJsonObject(map)) throw modelInvalid(`${indexPath} has ${kindOf(map)} as weight_map, not an object`)
  const places = new Map<string, string>()
  for (const [tensor, file] of Object.entries(map)) {
    // An index is data from elsewhere: it may name its neighbours, never a path out of the folder.
    if (typeof file !== "string" || file !== basename(file) || !file.endsWith(".safetensors")) {
      throw modelInvalid(
        `${indexPath} places tensor ${tensor} in ${kindOf(file)}`,
        "that is no safetensors file name",
      )
    }
    places.set(tensor, file)
  }
  return places
}
