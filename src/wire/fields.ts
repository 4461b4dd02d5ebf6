import { KvError } from "../errors/kv-error.ts"

/** An object that came over the wire; every field is checked before it is used. */
export type Fields = Readonly<Record<string, unknown>>

/** @throws KvError KV_WIRE_INVALID when `value` is not a plain object. */
export function fields(value: unknown, of: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(of, "an object", value)
  return value as Fields
}

/** A string of at most `max` characters. */
export function text(from: Fields, name: string, max = 256): string {
  const value = from[name]
  if (typeof value !== "string" || value.length > max)
    throw wrong(name, `a text of at most ${max} characters`, value)
  return value
}

/** A name that is printed as it is: 1 to `max` visible ASCII characters, so no escape sequence and no second line. */
export function label(from: Fields, name: string, max: number): string {
  const value = text(from, name, max)
  if (!/^[\x21-\x7e]+$/.test(value)) throw wrong(name, `1 to ${max} visible ASCII characters`, value)
  return value
}

/** `bytes` bytes as hexadecimal digits. */
export function hex(from: Fields, name: string, bytes: number): string {
  const value = text(from, name, bytes * 2)
  if (value.length !== bytes * 2 || !/^[0-9a-f]*$/.test(value))
    throw wrong(name, `${bytes} bytes in hexadecimal`, value)
  return value
}

/** A whole number from 0 to `max`. */
export function whole(from: Fields, name: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = from[name]
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > max) {
    throw wrong(name, `a whole number from 0 to ${max}`, value)
  }
  // JSON has a -0, which prints as 0.
  return value === 0 ? 0 : value
}

/** An array of at most `max` entries, each read by `read`. */
export function list<T>(from: Fields, name: string, max: number, read: (entry: unknown) => T): T[] {
  const value = from[name]
  if (!Array.isArray(value) || value.length > max) throw wrong(name, `a list of at most ${max}`, value)
  return value.map(read)
}

/** One word of a closed set. */
export function oneOf<Word extends string>(from: Fields, name: string, words: readonly Word[]): Word {
  const value = from[name]
  const found = words.find((word) => word === value)
  if (found === undefined) throw wrong(name, words.join(" or "), value)
  return found
}

/** A field that has gone wrong, shortened: the other side may have written anything. */
export function wrong(name: string, expected: string, found: unknown): KvError {
  const shown = JSON.stringify(found)?.slice(0, 60) ?? "nothing"
  return new KvError("KV_WIRE_INVALID", { what: `the peer's ${name} should be ${expected}, and is ${shown}` })
}
