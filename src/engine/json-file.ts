import { readFileSync } from "node:fs"
import { modelInvalid } from "./model-error.ts"

/** A JSON object whose values have not been looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Reads a JSON file that holds an object.
 * @throws KvError KV_MODEL_INVALID when it cannot be read, is not JSON, or is not an object.
 */
export function readJsonObject(path: string): JsonObject {
  return parseJsonObject(readText(path), path)
}

/** The same, or undefined when there is no such file. */
export function readJsonObjectIfAny(path: string): JsonObject | undefined {
  const text = readTextIfAny(path)
  return text === undefined ? undefined : parseJsonObject(text, path)
}

/** A text file, or undefined when there is no such file. @throws KvError KV_MODEL_INVALID when it cannot be read. */
export function readTextIfAny(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if (isMissing(error)) return undefined
    throw unreadable(path, error)
  }
}

/** @throws KvError KV_MODEL_INVALID when `text` is not a JSON object; `source` says where it came from. */
export function parseJsonObject(text: string, source: string): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw modelInvalid(`${source} is not JSON`, messageOf(error), undefined, error)
  }
  if (!isJsonObject(value)) throw modelInvalid(`${source} holds ${kindOf(value)} where an object is needed`)
  return value
}

/** True for an object that is not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** How an error sentence calls a JSON value: its kind, and the value itself when it is short. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing"
  if (value === null) return "null"
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === "object") return "an object"
  const text = JSON.stringify(value)
  return text.length <= 60 ? text : `a ${typeof value}`
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    throw unreadable(path, error)
  }
}

function unreadable(path: string, error: unknown): Error {
  return modelInvalid(`${path} cannot be read`, messageOf(error), undefined, error)
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
