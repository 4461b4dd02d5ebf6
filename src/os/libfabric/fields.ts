import koffi from "koffi"
import { assert } from "../../errors/assert.ts"
import { KvError } from "../../errors/kv-error.ts"
import { bindPointer, type SymbolTable } from "../ffi/symbols.ts"

/** Words of native memory that somebody else allocated. For what is done once: each costs a microsecond. */
export const peek64 = (address: number): number => {
  assert(address > 0, "a field lies in memory that is there")
  return Number(koffi.decode(BigInt(address), "uint64_t"))
}

export const peek32 = (address: number): number => Number(koffi.decode(BigInt(address), "uint32_t"))

/** As two halves: a number of 64 bits does not fit one of ours. */
export const peekHalves = (address: number): { readonly low: number; readonly high: number } => ({
  low: peek32(address),
  high: peek32(address + 4),
})

export const poke32 = (address: number, value: number): void =>
  koffi.encode(BigInt(address), "uint32_t", value)

export const poke64 = (address: number, value: number | bigint): void =>
  koffi.encode(BigInt(address), "uint64_t", value)

/** A C string that a field points to; empty where it points nowhere. */
export const peekText = (field: number): string => {
  const text = peek64(field)
  return text === 0 ? "" : peekCharacters(text)
}

/** The C string at an address. */
export const peekCharacters = (address: number): string => String(koffi.decode.string(BigInt(address)))

/**
 * One function out of the table of operations that an object of libfabric points to.
 *
 * The first word of a table is its size: a library older than ours, or a provider without the operation, has no such slot.
 * @throws KvError KV_TRANSPORT_UNAVAILABLE naming the operation and both sizes.
 */
export function operation<const S extends SymbolTable[string]>(
  object: number,
  tableField: number,
  slot: number,
  name: string,
  signature: S,
): ReturnType<typeof bindPointer<S>> {
  const operations = peek64(object + tableField)
  const size = operations === 0 ? 0 : peek64(operations)
  const target = size > slot ? peek64(operations + slot) : 0
  if (target === 0) {
    throw new KvError("KV_TRANSPORT_UNAVAILABLE", {
      what: `libfabric offers no ${name} here`,
      why: `its table of operations has ${size} bytes, and the slot would be at ${slot}`,
      next: "use another provider, or a libfabric from 1.14 on",
    })
  }
  return bindPointer(target, name, signature)
}
