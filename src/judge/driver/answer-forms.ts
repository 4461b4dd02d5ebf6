import { z } from "zod"
import { plainLog } from "../../terminal/plain-log.ts"
import { type Answers, capabilities, type Op } from "./protocol.ts"

/** Texts of a driver: what is longer is no answer, but an attack on whoever keeps it. */
const textMax = 4096
const cardMax = 2 ** 22
const regionsMax = 4096

const line = z.string().max(textMax)
/** What is shown to people, and is no key of anything. */
const words = line.transform(plainLog)
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const micros = z.number().min(0).finite()
const nothing = z.object({})

const receipt = z.object({
  bytes: count,
  path: words,
  rails: z.array(z.object({ rail: words, bytes: count })).max(regionsMax),
  integrity: words.exactOptional(),
  difference: z.object({ layer: count, block: count }).exactOptional(),
  sequence: z
    .object({
      source: words,
      target: words,
      direction: z.enum(["read", "write"]),
      tokens: count,
      layers: count,
      blocks: count,
      hashes: count,
      ticket: words,
    })
    .exactOptional(),
})

/** What each answer must look like: a driver is another program, and its engine has other authors. */
export const answerForms: { readonly [O in Op]: z.ZodType<Answers[O]> } = {
  open: z.object({
    about: words,
    version: words,
    libraries: z.array(words).max(regionsMax),
    capabilities: z.array(z.enum(capabilities)).max(capabilities.length),
    reasons: z.partialRecord(z.enum(capabilities), words).exactOptional(),
    memory: z
      .array(z.object({ path: z.string().regex(/^\/proc\/(self|\d+)\/fd\/\d+$/), bytes: count.min(1) }))
      .max(regionsMax),
    micros: z.object({ open: micros, register: micros }),
  }),
  invite: z.object({ card: z.string().max(cardMax) }),
  connect: z.object({ path: words.exactOptional() }),
  disconnect: nothing,
  lend: z.object({ offer: line }),
  withdraw: nothing,
  reuse: nothing,
  prepare: z.object({ micros }),
  post: nothing,
  postTogether: nothing,
  wait: z.object({
    state: z.enum(["pending", "done", "failed", "cancelled"]),
    error: z.object({ code: words, text: words }).exactOptional(),
    receipt: receipt.exactOptional(),
  }),
  cancel: nothing,
  release: nothing,
  notes: z.object({ notes: z.array(z.object({ from: line, text: line })).max(100_000) }),
  poll: nothing,
  deregister: nothing,
  measure: z.object({ micros: z.array(micros).max(1_000_000), cpuMicros: micros }),
  usage: z.object({ cpuMicros: micros, residentBytes: count }),
  close: nothing,
}

/** The envelope of every answer. */
export const envelope = z.union([
  z.object({ call: count, answer: z.unknown() }),
  z.object({ call: count, error: z.object({ code: z.string(), text: z.string() }) }),
])
