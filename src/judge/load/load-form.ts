import { z } from "zod"
import type { MachineFacts } from "../../bench/machine.ts"
import type { BytesReceipt } from "../driver/protocol.ts"
import type { Latency, LoadDocument, LoadResult, LoadShape, PairResult } from "../load-document.ts"

/** Texts and lists beyond these are no document of ours, but an attack on whoever reads it. */
/** The name that a document bears. */
export const loadSchema = "kvferry/load/1"
const nameMax = 200
const textMax = 4096
const itemsMax = 10_000

const name = z.string().max(nameMax)
const text = z.string().max(textMax)
const positive = z.number().positive()
const notNegative = z.number().nonnegative()
const count = z.number().int().nonnegative()
const some = z.number().int().positive()

type Fields<T> = { readonly [K in keyof Required<T>]: z.ZodType }

const machine = z.strictObject({
  cpuModel: text,
  cores: some,
  caches: text,
  memoryBytes: some,
  kernel: text,
  node: text,
  platform: text,
  virtual: text,
  hugePages: text,
  sharedMemoryHugePages: text,
} satisfies Fields<MachineFacts>)

const shape = z.strictObject({
  op: z.enum(["read", "write"]),
  blockBytes: some,
  blocks: some.describe("Blocks that move in each layer, for each pair of engines."),
  numBlocks: some.describe("Blocks in the pool, in each layer, after scaling."),
  layers: some,
  randomBlocks: z.boolean(),
  seed: count,
  threads: some,
  batch: some.describe("Blocks of one transfer, in all layers."),
  prefillEngines: some,
  decodeEngines: some,
  prefillTp: some,
  decodeTp: some,
  strategy: z.enum(["pack", "spread"]),
  integrity: name,
  model: name.exactOptional(),
  bytes: some.describe("Bytes of one round, all pairs together."),
} satisfies Fields<LoadShape>)

const receipt = z.strictObject({
  bytes: count,
  path: text,
  rails: z.array(z.strictObject({ rail: text, bytes: count })).max(itemsMax),
  integrity: text.exactOptional(),
} satisfies Fields<BytesReceipt>)

const interval = z
  .strictObject({ median: positive, low: positive, high: positive })
  .describe("The median, and its 95 % interval.")

const latency = z
  .strictObject({
    p50: positive,
    p90: positive,
    p99: positive,
    p999: positive,
    max: positive,
  } satisfies Fields<Latency>)
  .describe("Microseconds of one transfer.")

/** What is told of right bytes alone. */
const rates = {
  latency: latency.exactOptional(),
  bytesPerSecond: interval.exactOptional(),
  ratio: interval.exactOptional().describe("Speed over that of the first engine, paired by round."),
  cpuSecondsPerGb: notNegative.exactOptional().describe("Of both sides, for each 10^9 bytes."),
}

const right = z.literal("identical")
const wrong = { verdict: z.enum(["different", "failed"]), why: text }

/** What is told of every engine, whatever came of it. */
const always = {
  engine: name,
  about: text,
  version: text,
  role: z
    .enum(["ceiling", "kvferry", "peer"])
    .describe("A ceiling is nobody's engine: nothing on this machine should be faster."),
  microsByRound: z
    .array(positive.nullable())
    .max(itemsMax)
    .describe("Median microseconds of one transfer in each round; null in a round without it."),
  residentBytes: z.strictObject({ source: count, target: count }).exactOptional(),
  micros: z
    .strictObject({ open: notNegative, register: notNegative, connect: notNegative, prepare: notNegative })
    .exactOptional(),
  receipt: receipt.exactOptional(),
  hash: z.string().max(64).exactOptional().describe("Of the bytes that moved in the run that was timed."),
  loggingOn: z.boolean(),
} satisfies Fields<Omit<LoadResult, keyof typeof wrong | keyof typeof rates>>

const result = z
  .discriminatedUnion("verdict", [
    z.strictObject({ ...always, ...rates, verdict: right }),
    z.strictObject({ ...always, ...wrong }),
  ])
  .describe("One engine. Bytes that were not proven have no rate, and then it is said why.")

const pairRate = { bytesPerSecond: positive.exactOptional() }
const pairEnds = {
  from: name,
  to: name,
  engine: name,
} satisfies Fields<Omit<PairResult, keyof typeof wrong | keyof typeof pairRate>>
const pair = z
  .discriminatedUnion("verdict", [
    z.strictObject({ ...pairEnds, ...pairRate, verdict: right }),
    z.strictObject({ ...pairEnds, ...wrong }),
  ])
  .describe("One cell of --matrix, measured alone.")

const comparison = z.strictObject({
  engine: name,
  before: notNegative.describe("Share of the ceiling, or bytes a second without one; 0 where there is none."),
  now: notNegative,
  verdict: z.enum(["same", "faster", "slower", "too noisy"]),
  why: text,
} satisfies Fields<NonNullable<LoadDocument["comparison"]>[number]>)

/**
 * The document of a load, field by field: what is missing, and what is not known, is refused.
 * docs/schemas/load-1.json is the same for everybody else, and made from this.
 */
export const loadForm: z.ZodType<LoadDocument> = z.strictObject({
  schema: z.literal(loadSchema),
  software: name,
  startedAt: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  tookMillis: notNegative,
  machine,
  evidence: z.enum(["hardware", "lab"]),
  shape,
  notes: z.array(text).max(itemsMax).describe("What was made smaller or left out, and why."),
  rounds: some,
  interrupted: z.boolean(),
  loadAverage1MinuteBefore: notNegative,
  results: z.array(result).max(1000),
  matrix: z.array(pair).max(itemsMax).exactOptional(),
  comparison: z.array(comparison).max(1000).exactOptional(),
  verdict: z.enum(["identical", "different", "failed"]),
} satisfies Fields<LoadDocument>)
