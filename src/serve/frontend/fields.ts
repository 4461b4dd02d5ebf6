import { invalidParam } from "./api-error.ts"
import { printable } from "./printable.ts"

/** A JSON object from a client. */
export type Fields = Readonly<Record<string, unknown>>

/** True for a JSON object: not null and not an array. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** The value of an own field; `null` counts as not given, as OpenAI's API has it. */
export function given(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined
}

/** A whole number within `[min, max]`, or undefined when not given. */
export function wholeNumber(fields: Fields, name: string, min: number, max: number): number | undefined {
  const value = given(fields, name)
  if (value === undefined) return undefined
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value
  throw invalidParam(name, `${name} is ${printable(value)}; it must be a whole number from ${min} to ${max}`)
}

/** A number that `allowed` accepts, or undefined when not given. `range` says in words what is allowed. */
export function numberIn(
  fields: Fields,
  name: string,
  range: string,
  allowed: (value: number) => boolean,
): number | undefined {
  const value = given(fields, name)
  if (value === undefined) return undefined
  if (typeof value === "number" && Number.isFinite(value) && allowed(value)) return value
  throw invalidParam(name, `${name} is ${printable(value)}; it must be a number ${range}`)
}

/** True or false, or undefined when not given. */
export function flag(fields: Fields, name: string): boolean | undefined {
  const value = given(fields, name)
  if (value === undefined || typeof value === "boolean") return value
  throw invalidParam(name, `${name} is ${printable(value)}; it must be true or false`)
}
