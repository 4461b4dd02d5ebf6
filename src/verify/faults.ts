import { unreachable } from "../errors/assert.ts"
import { KvError } from "../errors/kv-error.ts"
import { blocksFor, type KvLayout, kvStrides, tokensInBlock } from "../kv/kv-layout.ts"
import { planes, rowBytes, rowOffset } from "../kv/kv-rows.ts"
import type { StoredSequence } from "./fingerprint.ts"

/** Damage that has been seen in the field, by name, with what it is. */
export const faults = {
  "kv-swapped": "keys and values of a block change places",
  "block-zeroed": "a block holds zeros",
  "stale-block": "a block holds what another request left there",
  "heads-swapped": "a head and the next one change places in a block",
  "layers-shifted": "every layer holds the one before it (a place is ignored)",
  "last-row-missing": "the last token's keys and values are zeros (in the last block, wherever that is)",
  "blocks-exchanged": "two full blocks change places (attention does not see it)",
  "float-off": "one number is off by 0.001",
} as const

export type Fault = keyof typeof faults

/** Where a fault is put. What is left out is chosen: a middle layer and block, the first head. */
export interface FaultPlace {
  readonly layer?: number
  readonly block?: number
  readonly head?: number
}

/** A fault with its place, as `FAULT[:layer,block,head]` says it. */
export interface FaultRequest extends FaultPlace {
  readonly fault: Fault
}

/** Where a fault goes in a sequence; one can be too short for it. */
export type Planting =
  | { readonly possible: true; readonly layer: number; readonly block: number }
  | { readonly possible: false; readonly why: string }

/** Reads `FAULT[:layer[,block[,head]]]`. @throws KvError KV_USAGE with the list of faults. */
export function parseFault(text: string): FaultRequest {
  const [name = "", place, ...rest] = text.split(":")
  const numbers = place === undefined ? [] : place.split(",")
  const sound =
    rest.length === 0 && numbers.length <= 3 && numbers.every((number) => /^\d{1,9}$/.test(number))
  if (!Object.hasOwn(faults, name) || !sound) {
    const list = Object.entries(faults).map(([fault, meaning]) => `${fault} (${meaning})`)
    throw new KvError("KV_USAGE", {
      what: `${JSON.stringify(text.slice(0, 80))} is not FAULT[:layer,block,head]`,
      next: `use one of: ${list.join(", ")}`,
    })
  }
  const [layer, block, head] = numbers.map(Number)
  return {
    fault: name as Fault,
    ...(layer === undefined ? {} : { layer }),
    ...(block === undefined ? {} : { block }),
    ...(head === undefined ? {} : { head }),
  }
}

/** Where a fault would go: the first (layer, block) that it damages, or why it cannot. */
export function placeFault(layout: KvLayout, tokens: number, request: FaultRequest): Planting {
  const positions = blocksFor(tokens, layout.blockTokens)
  const full = Math.floor(tokens / layout.blockTokens)
  const { layers } = layout.shape
  const layer = request.layer ?? Math.floor(layers / 2)
  const block = request.block ?? Math.max(0, Math.floor((Math.max(full, 1) - 1) / 2))
  if (layer >= layers) return no(`there is no layer ${layer}: the model has ${layers}, counted from 0`)
  if (block >= positions)
    return no(`there is no block ${block}: ${tokens} tokens have ${positions}, counted from 0`)
  if ((request.head ?? 0) >= layout.heads) {
    return no(`there is no head ${request.head}: the model has ${layout.heads}, counted from 0`)
  }
  switch (request.fault) {
    case "last-row-missing":
      return { possible: true, layer, block: positions - 1 }
    case "heads-swapped":
      return layout.heads < 2 ? no("the model has one key/value head") : { possible: true, layer, block }
    case "blocks-exchanged":
      if (full < 2) return no(`${tokens} tokens have ${full} full blocks, and two are exchanged`)
      if (request.block !== undefined && block > full - 2) {
        return no(
          `block ${block} and the next one are not both full: ${tokens} tokens have ${full} full blocks`,
        )
      }
      return { possible: true, layer, block: Math.min(block, full - 2) }
    case "layers-shifted":
      return layers < 2 ? no("the model has one layer") : { possible: true, layer: 1, block: 0 }
    case "float-off":
      return layout.shape.elementBytes === 4
        ? { possible: true, layer, block }
        : no(`the cache holds numbers of ${layout.shape.elementBytes} bytes, not of 4`)
    default:
      return { possible: true, layer, block }
  }
}

/**
 * Damages a stored sequence in its pool, where `placeFault` says.
 *
 * @param stale a block of the same pool that holds another request's rows; only `stale-block` needs it.
 */
export function plantFault(sequence: StoredSequence, request: FaultRequest, stale?: number): Planting {
  const { layout, tokens } = sequence
  const place = placeFault(layout, tokens, request)
  if (!place.possible) return place
  const { layer, block } = place
  const damage = new Damage(sequence, layer)
  const heads = request.head === undefined ? allHeads(layout.heads) : [request.head]
  const first = request.head ?? 0
  switch (request.fault) {
    case "kv-swapped":
      damage.swapPlanes(block, heads)
      break
    case "block-zeroed":
      damage.zero(block, heads, 0)
      break
    case "float-off":
      damage.addToFirst(block, first, 1e-3)
      break
    case "last-row-missing":
      damage.zero(block, heads, tokensInBlock(block, tokens, layout.blockTokens) - 1)
      break
    case "heads-swapped":
      damage.swapHeads(block, first, (first + 1) % layout.heads)
      break
    case "blocks-exchanged":
      damage.exchange(block, block + 1, heads)
      break
    case "stale-block":
      if (stale === undefined) return no("no other request has left a block in this pool yet")
      damage.copyFrom(stale, block, heads)
      break
    case "layers-shifted":
      for (let at = layout.shape.layers - 1; at > 0; at--) new Damage(sequence, at).copyLayer(at - 1)
      break
    default:
      unreachable(request.fault, "a fault without damage")
  }
  return place
}

const no = (why: string): Planting => ({ possible: false, why })
const allHeads = (count: number): number[] => Array.from({ length: count }, (_, head) => head)

/** Row by row changes of one layer of a sequence. Speed does not matter here. */
class Damage {
  readonly #sequence: StoredSequence
  readonly #layer: number

  constructor(sequence: StoredSequence, layer: number) {
    this.#sequence = sequence
    this.#layer = layer
  }

  swapPlanes(position: number, heads: readonly number[]): void {
    for (const head of heads) {
      for (const slot of this.#slots(position)) {
        swap(this.#row(position, 0, head, slot), this.#row(position, 1, head, slot))
      }
    }
  }

  zero(position: number, heads: readonly number[], fromSlot: number): void {
    for (const head of heads) {
      for (const slot of this.#slots(position)) {
        if (slot < fromSlot) continue
        for (const plane of planes) this.#row(position, plane, head, slot).fill(0)
      }
    }
  }

  swapHeads(position: number, one: number, other: number): void {
    for (const slot of this.#slots(position)) {
      for (const plane of planes)
        swap(this.#row(position, plane, one, slot), this.#row(position, plane, other, slot))
    }
  }

  exchange(one: number, other: number, heads: readonly number[]): void {
    for (const head of heads) {
      for (const slot of this.#slots(one)) {
        for (const plane of planes)
          swap(this.#row(one, plane, head, slot), this.#row(other, plane, head, slot))
      }
    }
  }

  copyFrom(block: number, position: number, heads: readonly number[]): void {
    for (const head of heads) {
      for (const slot of this.#slots(position)) {
        for (const plane of planes) {
          this.#row(position, plane, head, slot).set(this.#rowOfBlock(this.#layer, block, plane, head, slot))
        }
      }
    }
  }

  copyLayer(from: number): void {
    const { layout, blocks, spans } = this.#sequence
    const { block } = kvStrides(layout)
    for (let position = 0; position < blocksFor(this.#sequence.tokens, layout.blockTokens); position++) {
      const at = blocks[position]! * block
      spans[this.#layer]!.view(at, block).set(spans[from]!.view(at, block))
    }
  }

  addToFirst(position: number, head: number, amount: number): void {
    const row = this.#row(position, 0, head, 0)
    const data = new DataView(row.buffer, row.byteOffset, row.byteLength)
    data.setFloat32(0, data.getFloat32(0, true) + amount, true)
  }

  #slots(position: number): number[] {
    const { layout, tokens } = this.#sequence
    return Array.from({ length: tokensInBlock(position, tokens, layout.blockTokens) }, (_, slot) => slot)
  }

  #row(position: number, plane: 0 | 1, head: number, slot: number): Uint8Array<ArrayBuffer> {
    return this.#rowOfBlock(this.#layer, this.#sequence.blocks[position]!, plane, head, slot)
  }

  #rowOfBlock(
    layer: number,
    block: number,
    plane: 0 | 1,
    head: number,
    slot: number,
  ): Uint8Array<ArrayBuffer> {
    const { layout, spans } = this.#sequence
    return spans[layer]!.view(
      rowOffset(layout, block, plane, head + layout.firstHead, slot),
      rowBytes(layout),
    )
  }
}

function swap(one: Uint8Array, other: Uint8Array): void {
  const kept = one.slice()
  one.set(other)
  other.set(kept)
}
