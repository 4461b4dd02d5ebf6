import koffi from "koffi"
import { type ControlBlock, ControlMemory } from "../control-memory.ts"

const high = 2 ** 32

/** Structures that a library allocated, for reading fields of them while they live. */
export function fieldsAt(address: number, byteLength: number): DataView {
  return new DataView(koffi.view(address, byteLength))
}

/** A pointer or any other 64-bit number that is known to be small enough for a number. */
export function readAddress(fields: DataView, offset: number): number {
  return fields.getUint32(offset, true) + fields.getUint32(offset + 4, true) * high
}

/** Writes a number of up to 53 bits as 64. */
export function writeAddress(fields: DataView, offset: number, value: number): void {
  fields.setUint32(offset, value % high, true)
  fields.setUint32(offset + 4, Math.floor(value / high), true)
}

let block: ControlBlock | undefined

/** Zeroed memory for the arguments of one native call: one block per thread, so nothing is kept in it. */
export function argumentMemory(): ControlBlock {
  block ??= new ControlMemory(16_384).take(16_384)
  block.u8.fill(0)
  return block
}
