/**
 * Numbers with a meaning. A branded number cannot be passed where another is expected,
 * and is made only by the function that checks it.
 */
declare const unit: unique symbol
type Unit<Base, Name extends string> = Base & { readonly [unit]: Name }

/** A length or an offset in bytes: a whole number from 0 to 2^53 - 1. */
export type Bytes = Unit<number, "Bytes">
/** The index of one block inside a pool, from 0. */
export type BlockId = Unit<number, "BlockId">
/** The index of one rail (one NIC path, one stream) of an agent, from 0. */
export type RailId = Unit<number, "RailId">
/** The index of one region of an agent, from 0. */
export type RegionId = Unit<number, "RegionId">
/** A moment or a span in microseconds. */
export type Micros = Unit<number, "Micros">

/** @throws RangeError when `value` is not a whole number from 0 to 2^53 - 1. */
export const bytes = (value: number): Bytes => whole(value, "bytes") as Bytes
/** @throws RangeError when `value` is not a whole number from 0 to 2^53 - 1. */
export const blockId = (value: number): BlockId => whole(value, "a block id") as BlockId
/** @throws RangeError when `value` is not a whole number from 0 to 2^53 - 1. */
export const railId = (value: number): RailId => whole(value, "a rail id") as RailId
/** @throws RangeError when `value` is not a whole number from 0 to 2^53 - 1. */
export const regionId = (value: number): RegionId => whole(value, "a region id") as RegionId
/** @throws RangeError when `value` is not a whole number from 0 to 2^53 - 1. */
export const micros = (value: number): Micros => whole(value, "microseconds") as Micros

function whole(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name} must be a whole number from 0 to 2^53 - 1, not ${value}`)
  }
  return value
}
