import { type JsonObject, kindOf } from "./json-file.ts"
import { modelInvalid } from "./model-error.ts"

/** Typed access to the fields of a configuration file. Null counts as absent, as Hugging Face writes it. */
export interface ConfigFields {
  readonly source: JsonObject
  readonly path: string
  /** A whole number from 1 to 2^31 - 1. */
  count(name: string, otherwise?: number): number
  /** A finite number above 0. */
  positive(name: string, otherwise?: number): number
  flag(name: string, otherwise: boolean): boolean
}

/** Reads fields of `source`; every method @throws KvError KV_MODEL_INVALID naming `path`, the field and its value. */
export function configFields(source: JsonObject, path: string): ConfigFields {
  const field = (name: string, otherwise: unknown): unknown => source[name] ?? otherwise
  const wrong = (name: string, value: unknown, needed: string): Error =>
    modelInvalid(`${path} has ${kindOf(value)} as ${name}`, `${name} must be ${needed}`)
  return {
    source,
    path,
    count: (name, otherwise) => {
      const value = field(name, otherwise)
      if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value < 2 ** 31) return value
      throw wrong(name, value, "a whole number of at least 1")
    },
    positive: (name, otherwise) => {
      const value = field(name, otherwise)
      if (typeof value === "number" && Number.isFinite(value) && value > 0) return value
      throw wrong(name, value, "a number above 0")
    },
    flag: (name, otherwise) => {
      const value = field(name, otherwise)
      if (typeof value === "boolean") return value
      throw wrong(name, value, "true or false")
    },
  }
}
