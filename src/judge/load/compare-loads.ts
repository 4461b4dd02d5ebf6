import { closeSync, openSync, readSync } from "node:fs"
import { z } from "zod"
import { quantileOf } from "../../bench/statistics.ts"
import { KvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"
import { countText, rateText, sizeText } from "../../terminal/units.ts"
import type { LoadDocument, LoadResult, LoadShape } from "../load-document.ts"
import { pairedSpeedRatios, resampledMedians, roundsForInterval } from "./intervals.ts"
import { loadForm, loadSchema } from "./load-form.ts"

export type Comparison = NonNullable<LoadDocument["comparison"]>[number]

/** A difference that nobody should care about, also where it can be measured. */
const careShare = 0.02
/** An interval that is wider than this says nothing of a difference that matters. */
const noiseShare = 0.1
const bytesMax = 64 * 2 ** 20
/** What is not part of the question that a load asks. */
const free: ReadonlySet<string> = new Set(["seed", "bytes", "numBlocks"])

/** @throws KvError KV_USAGE when there is no such document, whole as it was printed. */
export function readLoadDocument(file: string): LoadDocument {
  try {
    const json: unknown = JSON.parse(textOf(file))
    const { schema } = z.object({ schema: z.string() }).catch({ schema: "" }).parse(json)
    if (schema !== "" && schema !== loadSchema) {
      throw new TypeError(
        `it is a document ${JSON.stringify(schema.slice(0, 60))}, and wanted is ${loadSchema}`,
      )
    }
    return loadForm.parse(json)
  } catch (thrown) {
    throw new KvError("KV_USAGE", {
      what: `--compare cannot use ${JSON.stringify(file.slice(0, 200))}`,
      why: reasonOf(thrown),
      next: "name a document that kvferry bench --json printed",
    })
  }
}

/** All of a file, or of a pipe, which has no size. @throws RangeError for more than a document has. */
function textOf(file: string): string {
  const handle = openSync(file, "r")
  try {
    const chunks: Buffer[] = []
    for (let bytes = 0; ; ) {
      const chunk = Buffer.alloc(2 ** 20)
      const read = readSync(handle, chunk)
      if (read === 0) return Buffer.concat(chunks).toString("utf8")
      bytes += read
      if (bytes > bytesMax) throw new RangeError(`it has more than ${sizeText(bytesMax)}`)
      chunks.push(chunk.subarray(0, read))
    }
  } finally {
    closeSync(handle)
  }
}

/**
 * Says before a run whether it can be held against an older one: so much time is not to be lost.
 * @param engines those that will be measured, without the ceiling.
 * @throws KvError KV_USAGE for loads of different shapes, or without a common engine.
 */
export function checkComparable(
  before: LoadDocument,
  shape: Omit<LoadShape, "bytes">,
  engines: readonly string[],
): void {
  checkShapes(before, shape)
  const old = before.results.filter(({ role }) => role !== "ceiling").map(({ engine }) => engine)
  if (engines.some((engine) => old.includes(engine))) return
  throw new KvError("KV_USAGE", {
    what: "the older document has none of the engines of this run",
    why: `${old.map((engine) => oneLine(engine, 60)).join(", ") || "none"} then, ${engines.join(", ")} now`,
    next: "name the same --engines",
  })
}

/**
 * Holds a load against an older one of the same shape, engine by engine.
 *
 * Two runs are not paired: the machine may have been busier in one of them. So what is compared is the speed as a share of the
 * ceiling (or of the first engine, without a ceiling), each paired round by round in its own run. The interval of now over before
 * is the bootstrap's, over the rounds of both.
 * @throws KvError KV_USAGE for loads of different shapes.
 */
export function compareLoads(before: LoadDocument, now: LoadDocument): Comparison[] {
  checkShapes(before, now.shape)
  const base = baseOf(before.results, now.results)
  return now.results.flatMap((result): Comparison[] => {
    const older = before.results.find(({ engine }) => engine === result.engine)
    if (result.engine === base || older === undefined) return []
    return [compared(older, result, before, now, base)]
  })
}

function compared(
  older: LoadResult,
  result: LoadResult,
  before: LoadDocument,
  now: LoadDocument,
  base: string | undefined,
): Comparison {
  const { engine } = result
  const { bytes } = now.shape
  const then = speedsOf(older, before.results, base, bytes)
  const here = speedsOf(result, now.results, base, bytes)
  const bad = older.verdict !== "identical" ? "then" : result.verdict !== "identical" ? "now" : undefined
  if (bad !== undefined || then.length === 0 || here.length === 0) {
    const why = bad === undefined ? "one of the runs has no whole round" : `it has no rate ${bad}`
    return { engine, before: 0, now: 0, verdict: "too noisy", why }
  }
  const [a, b] = [quantileOf(then, 0.5), quantileOf(here, 0.5)]
  const olds = resampledMedians(then, now.shape.seed)
  const news = resampledMedians(here, now.shape.seed + 1)
  const changes = news.map((speed, i) => speed / olds[i]!)
  const [low, high] = [quantileOf(changes, 0.025), quantileOf(changes, 0.975)]
  const of =
    base === undefined ? "bytes a second, in two runs that nothing ties together" : `shares of ${base}`
  const range = `${percent(low)} to ${percent(high)}`
  const texts = [
    `${of}: ${shown(a)} then, ${shown(b)} now, a change of ${range} (95 %)`,
    ...(older.version === result.version ? [] : [`version ${older.version} then, ${result.version} now`]),
    ...(older.loggingOn === result.loggingOn ? [] : ["one of them was logging"]),
    ...(before.machine.cpuModel === now.machine.cpuModel && before.machine.kernel === now.machine.kernel
      ? []
      : ["another machine, or another kernel"]),
  ]
  const few = Math.min(then.length, here.length) < roundsForInterval
  if (few)
    texts.push(
      `${countText(then.length, "round")} then, ${here.length} now, and ${roundsForInterval} are the least`,
    )
  return {
    engine,
    before: a,
    now: b,
    verdict: few ? "too noisy" : verdictOf(low, high),
    why: texts.join("; "),
  }
}

/** Times by round as speeds: over the base's in the same round, else as bytes a second. */
function speedsOf(
  { microsByRound }: Pick<LoadResult, "microsByRound">,
  results: readonly Pick<LoadResult, "engine" | "microsByRound">[],
  base: string | undefined,
  bytes: number,
): number[] {
  const other = results.find(({ engine }) => engine === base)
  return other === undefined
    ? microsByRound.flatMap((micros) => (micros === null ? [] : [(bytes / micros) * 1e6]))
    : pairedSpeedRatios(microsByRound, other.microsByRound)
}

function verdictOf(low: number, high: number): Comparison["verdict"] {
  if (low > 1 + careShare) return "faster"
  if (high < 1 - careShare) return "slower"
  return low > 1 - noiseShare && high < 1 + noiseShare ? "same" : "too noisy"
}

/** What both runs have, and nobody changed in between: the ceiling, else the first engine. */
function baseOf(
  before: readonly Pick<LoadResult, "engine" | "role" | "verdict">[],
  now: readonly Pick<LoadResult, "engine" | "role" | "verdict">[],
): string | undefined {
  const ceiling = now.find(({ role, verdict }) => role === "ceiling" && verdict === "identical")?.engine
  const same = before.find(({ engine, verdict }) => engine === ceiling && verdict === "identical")
  return same?.engine
}

function checkShapes(before: LoadDocument, now: Omit<LoadShape, "bytes">): void {
  const [then, here]: Readonly<Record<string, unknown>>[] = [{ ...before.shape }, { ...now }]
  const names = [...new Set([...Object.keys(then!), ...Object.keys(here!)])]
  const other = names.filter((name) => !free.has(name) && then![name] !== here![name])
  if (other.length === 0) return
  const each = other.map((name) => `${name} ${String(then![name])} then, ${String(here![name])} now`)
  throw new KvError("KV_USAGE", {
    what: "the older document is of another load",
    why: each.join("; ").slice(0, 500),
    next: "run this one with the same options",
  })
}

const percent = (change: number): string => `${change >= 1 ? "+" : ""}${((change - 1) * 100).toFixed(1)} %`
const shown = (speed: number): string => (speed > 1e6 ? rateText(speed) : speed.toPrecision(3))

function reasonOf(thrown: unknown): string {
  if (thrown instanceof z.ZodError) {
    const [issue] = thrown.issues
    return `${issue?.path.join(".") || "it"}: ${issue?.message ?? "not such a document"}`.slice(0, 300)
  }
  return thrown instanceof Error ? thrown.message : String(thrown)
}
