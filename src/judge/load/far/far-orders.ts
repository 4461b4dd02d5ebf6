import { z } from "zod"
import { KvError } from "../../../errors/kv-error.ts"
import { regionsMax } from "../../pattern/pattern.ts"
import type { Arrival, Checked, Places } from "../judged-memory.ts"

/** Longest column that is taken: pieces of one load. */
const columnCharsMax = 2 ** 26
const column = z.string().max(columnCharsMax)
const count = z.number().int().nonnegative()

const cacheForm = z.object({
  layers: z.number().int().min(1).max(regionsMax),
  blocks: z.number().int().min(1),
  blockTokens: z.number().int().min(1),
  kvHeads: z.number().int().min(1),
  firstHead: count,
  heads: z.number().int().min(1),
  headDim: z.number().int().min(1),
  elementBytes: z.number().int().min(1).max(8),
})

const agentForm = z.object({
  owner: z.number().int().min(0).max(31),
  name: z.string().regex(/^[a-z0-9.-]{1,40}$/),
  side: z.enum(["prefill", "decode"]),
  cache: cacheForm,
})

/** What the initiator tells the target to start: the driver of one agent. */
export const startForm = z.object({
  agent: z.string().max(80),
  engine: z.string().max(80),
  dealt: agentForm,
  agents: z.array(agentForm).max(32),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1),
  /** What kvferry's own drivers of this bench authenticate each other with. */
  secret: z.string().regex(/^[0-9a-f]{64}$/),
  devices: z.string().max(1000).optional(),
  verbose: z.boolean(),
})

const piecesForm = z.object({
  pieces: count,
  bytes: count,
  sourceRegion: column,
  sourceOffset: column,
  targetRegion: column,
  targetOffset: column,
  length: column,
})
const arrivalForm = z.object({ owner: count, epoch: count, plan: piecesForm })
const placesForm = z.object({ region: column, offset: column, length: column })

/** Orders to the memory of one agent, and to its process. */
export const orderForms = {
  ask: z.object({
    agent: z.string(),
    op: z.string().max(40),
    args: z.unknown(),
    millis: z.number().min(0).max(1e8).optional(),
  }),
  open: z.object({ agent: z.string(), question: z.unknown() }),
  fillAll: z.object({ agent: z.string(), epoch: count, poison: z.boolean() }),
  fill: z.object({ agent: z.string(), places: placesForm, epoch: count, poison: z.boolean() }),
  checkPieces: z.object({
    agent: z.string(),
    arrivals: z.array(arrivalForm).max(4096),
    bytesMax: count,
    from: count,
  }),
  checkAll: z.object({ agent: z.string(), arrivals: z.array(arrivalForm).max(4096) }),
  checkSource: z.object({ agent: z.string(), epoch: count }),
  just: z.object({ agent: z.string() }),
} as const

/** What a check found, as it crosses the wire. */
const checkedForm = z.object({
  bytesChecked: count,
  hash: z.string().max(40),
  wrong: z
    .object({
      cause: z.string().max(80),
      text: z.string().max(4000),
      layer: count,
      block: count,
      offset: count,
      expected: column,
      found: column,
    })
    .optional(),
})

/** @throws KvError KV_WIRE_INVALID. */
export function read<Form extends z.ZodType>(form: Form, value: unknown, what: string): z.infer<Form> {
  const parsed = form.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new KvError("KV_WIRE_INVALID", {
    what: `the other host sent no ${what}: ${String(issue?.path.join(".")).slice(0, 80)}: ${issue?.message.slice(0, 200)}`,
  })
}

export const encodePlaces = ({ region, offset, length }: Places) => ({
  region: text(region),
  offset: text(offset),
  length: text(length),
})

export function decodePlaces(value: z.infer<typeof placesForm>): Places {
  const length = words(value.length)
  const places = { region: words(value.region), offset: doubles(value.offset), length }
  sameLength(places, length.length)
  return places
}

export const encodeArrivals = (arrivals: readonly Arrival[]) =>
  arrivals.map(({ owner, epoch, plan }) => ({
    owner,
    epoch,
    plan: {
      pieces: plan.pieces,
      bytes: plan.bytes,
      sourceRegion: text(plan.sourceRegion),
      sourceOffset: text(plan.sourceOffset),
      targetRegion: text(plan.targetRegion),
      targetOffset: text(plan.targetOffset),
      length: text(plan.length),
    },
  }))

export function decodeArrivals(values: readonly z.infer<typeof arrivalForm>[]): Arrival[] {
  return values.map(({ owner, epoch, plan }) => {
    const columns = {
      sourceRegion: words(plan.sourceRegion),
      sourceOffset: doubles(plan.sourceOffset),
      targetRegion: words(plan.targetRegion),
      targetOffset: doubles(plan.targetOffset),
      length: words(plan.length),
    }
    sameLength(columns, plan.pieces)
    return { owner, epoch, plan: { pieces: plan.pieces, bytes: plan.bytes, ...columns } }
  })
}

export function encodeChecked({ wrong, ...checked }: Checked): unknown {
  if (wrong === undefined) return checked
  return { ...checked, wrong: { ...wrong, expected: text(wrong.expected), found: text(wrong.found) } }
}

export function decodeChecked(value: unknown): Checked {
  const { wrong, ...checked } = read(checkedForm, value, "finding")
  if (wrong === undefined) return checked
  return { ...checked, wrong: { ...wrong, expected: bytes(wrong.expected), found: bytes(wrong.found) } }
}

function sameLength(columns: object, count: number): void {
  const other = Object.entries(columns).find(([, column]) => (column as ArrayLike<number>).length !== count)
  if (other === undefined) return
  throw new KvError("KV_WIRE_INVALID", { what: `the column ${other[0]} has not ${count} entries` })
}

const text = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64")
const bytes = (column: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(column, "base64"))
const words = (column: string): Uint32Array<ArrayBuffer> => {
  const { buffer } = bytes(column)
  return new Uint32Array(buffer, 0, Math.floor(buffer.byteLength / 4))
}
const doubles = (column: string): Float64Array<ArrayBuffer> => {
  const { buffer } = bytes(column)
  return new Float64Array(buffer, 0, Math.floor(buffer.byteLength / 8))
}
