import type { FabricProvider, RailWeight, RelaxedOrderingMode } from "./rdma-settings.ts"

/** A text that does not say what it should; the message completes "it must be …". */
export class Unfit extends Error {}

/** Turns a text into a value. Undefined: it leaves the choice open. @throws Unfit */
export type Reader<Value> = (text: string) => Value | undefined

const devicesMax = 64
const deviceName = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/

/** A whole number in a range. */
export const whole =
  (min: number, max: number): Reader<number> =>
  (text) => {
    const value = Number(text)
    if (/^\s*\d{1,15}\s*$/.test(text) && value >= min && value <= max) return value
    throw new Unfit(`a whole number from ${min} to ${max}`)
  }

/** A whole number, or -1 for "no choice", as Mooncake and NCCL have it. */
export const wholeOrNoChoice = (min: number, max: number): Reader<number> => {
  const read = whole(min, max)
  return (text) => {
    if (text.trim() === "-1") return undefined
    try {
      return read(text)
    } catch {
      throw new Unfit(`a whole number from ${min} to ${max}, or -1`)
    }
  }
}

/** Bytes: a bare number, or one with K, M, G, KiB, MiB or GiB, by 1024. */
export const bytesBetween =
  (min: number, max: number): Reader<number> =>
  (text) => {
    const match = /^\s*(\d{1,12})\s*(?:([KMG])(?:iB)?)?\s*$/i.exec(text)
    const unit = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match?.[2]?.toUpperCase() ?? ""] ?? 1
    const value = match === null ? Number.NaN : Number(match[1]) * unit
    if (value >= min && value <= max) return value
    throw new Unfit(`bytes from ${min} to ${max}, such as 65536, 64K or 1M`)
  }

/** One of some words. */
export const oneOf =
  <Word extends string>(...words: readonly Word[]): Reader<Word> =>
  (text) => {
    const found = words.find((word) => word === text.trim())
    if (found !== undefined) return found
    throw new Unfit(words.join(", "))
  }

/** Mooncake's 0, 1 and 2: its 1 and 2 do the same, relaxed ordering where it is supported. */
export const mooncakeOrdering: Reader<RelaxedOrderingMode> = (text) => {
  const number = text.trim()
  if (number === "0") return "off"
  if (number === "1" || number === "2") return "auto"
  throw new Unfit("0, 1 or 2")
}

/** Mooncake's -1, 0 and 1. */
export const mooncakeParallel: Reader<boolean> = (text) => {
  const value = text.trim()
  if (value === "-1") return undefined
  if (value === "0" || value === "1") return value === "1"
  throw new Unfit("-1, 0 or 1")
}

/** Names of devices, separated by commas; the order is kept, and none may stand twice. */
export const deviceNames: Reader<readonly string[]> = (text) => {
  const names = text.split(",").map((name) => name.trim())
  const wrong = names.find((name) => !deviceName.test(name))
  if (wrong !== undefined || names.length > devicesMax) {
    throw new Unfit(`at most ${devicesMax} names of devices, separated by commas, such as mlx5_0,mlx5_1`)
  }
  if (new Set(names).size < names.length) throw new Unfit("names of devices, each of them once")
  return names
}

/** Processors as Linux lists them: `0-3,8`. */
export const processors: Reader<readonly number[]> = (text) => {
  const mistake = new Unfit("processors as Linux lists them, such as 0-3,8; each once")
  const numbers = text.split(",").flatMap((part) => {
    const match = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(part)
    const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
    if (match === null || last < first || last - first > 4095) throw mistake
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
  if (new Set(numbers).size < numbers.length) throw mistake
  return numbers
}

/** `mlx5_0=2,mlx5_1=1`. */
export const railWeights: Reader<readonly RailWeight[]> = (text) => {
  const weights = text.split(",").map((part) => {
    const match = /^\s*([^=\s]+)\s*=\s*(\d{1,6}(?:\.\d{1,6})?)\s*$/.exec(part)
    return { device: match?.[1] ?? "", weight: Number(match?.[2]) }
  })
  const fits = weights.every(({ device, weight }) => deviceName.test(device) && weight > 0)
  if (fits && new Set(weights.map(({ device }) => device)).size === weights.length) return weights
  throw new Unfit("a number above 0 for each device, such as mlx5_0=2,mlx5_1=1; each once")
}

/** The providers that we open, and other names for them. */
const providerNames: ReadonlyMap<string, FabricProvider> = new Map([
  ["efa", "efa"],
  ["tcp", "tcp"],
  ["shm", "shm"],
  ["verbs;ofi_rxm", "verbs;ofi_rxm"],
  ["ofi_rxm;verbs", "verbs;ofi_rxm"],
  ["verbs", "verbs;ofi_rxm"],
  ["tcp;ofi_rxm", "tcp"],
])

/** Providers, best first. */
export const fabricProviders: Reader<readonly FabricProvider[]> = (text) => {
  const names = text.split(",").map((name) => providerNames.get(name.trim()))
  const known = names.filter((name) => name !== undefined)
  if (known.length === names.length) return [...new Set(known)]
  throw new Unfit("a list of efa, verbs;ofi_rxm, tcp and shm, best first")
}

/** `FI_PROVIDER`: names as above; a filter by `^`, or of providers that are not ours, is libfabric's own business. */
export const fabricFilter: Reader<readonly FabricProvider[]> = (text) => {
  try {
    return fabricProviders(text)
  } catch {
    return undefined
  }
}

/** A file's path. */
export const filePath: Reader<string> = (text) => {
  if (text.length <= 4096 && !/\p{Cc}/u.test(text)) return text
  throw new Unfit("the path of a file, of at most 4096 characters")
}

/** A backend's name. */
export const backendName: Reader<string> = (text) => {
  const name = text.trim()
  if (/^[A-Za-z0-9_]{1,40}$/.test(name)) return name
  throw new Unfit("one backend's name, such as UCX or LIBFABRIC")
}
