import { availableBytes, loadAverage1Minute, machineFacts } from "../../bench/machine.ts"
import { readRdmaDevices } from "../../os/rdma-devices.ts"
import { softwareVersion } from "../../serve/version.ts"
import type { EngineSpec } from "../engine-spec.ts"
import type { LoadDocument, LoadShape } from "../load-document.ts"
import { Pattern } from "../pattern/pattern.ts"
import type { WrongBytes } from "./contender.ts"
import { type DealtLoad, dealLoad } from "./deal-load.ts"
import type { EngineLoad } from "./engine-load.ts"
import { fitMemory } from "./fit-memory.ts"
import { roundsForInterval } from "./intervals.ts"
import { lineRates, lineRateText } from "./line-rates.ts"
import type { LoadRequest } from "./load-request.ts"
import { loadResults } from "./load-results.ts"
import { loggingVariables } from "./logging.ts"
import { ceilingOf, openEngine, type Placement } from "./open-engines.ts"
import { resultNotes } from "./result-notes.ts"
import { type Entrant, entrant, leave, runLoad } from "./run-load.ts"

/** A finished bench: the document, and what a report of a failure wants beside it. */
export interface BenchedLoad {
  readonly document: LoadDocument
  readonly logs: readonly { readonly name: string; readonly text: string }[]
  /** The first wrong bytes of the first engine that had some. */
  readonly wrong?: { readonly engine: string } & WrongBytes["wrong"]
}

export interface BenchOptions {
  readonly placement: Placement
  readonly signal: AbortSignal
  readonly onStep: (label: string, fraction: number) => void
  /** Bytes of memory that can be used; the machine's own figure when absent. */
  readonly available?: number
}

/**
 * Opens every engine that was asked for, beside the ceiling, verifies them and measures them in turns.
 *
 * An engine that cannot run, or fails, is told with its reason, and the others go on.
 * @throws KvError KV_LIMIT when the memory does not suffice.
 */
export async function benchLoad(asked: LoadRequest, options: BenchOptions): Promise<BenchedLoad> {
  const startedAt = new Date().toISOString()
  const started = performance.now()
  const load = loadAverage1Minute()
  const request = fitMemory(asked, options.available ?? options.placement.available ?? availableBytes())
  const dealt = dealLoad(request)
  const pattern = new Pattern(request.seed)
  const entrants: Entrant[] = []
  try {
    for (const spec of request.engines) {
      if (options.signal.aborted) break
      options.onStep(`opening ${spec.name}`, 0)
      entrants.push(await opened(spec, request, dealt, pattern, options.placement))
    }
    if (request.memcpy && !options.signal.aborted)
      entrants.unshift(await ceiling(entrants, request, dealt, pattern))
    const whole = await runLoad(entrants, {
      rounds: request.rounds,
      millis: (request.duration * 1000) / request.rounds,
      signal: options.signal,
      onStep: options.onStep,
    })
    return benched(request, dealt, entrants, {
      startedAt,
      tookMillis: Math.round(performance.now() - started),
      load,
      whole,
      notes: options.placement.notes ?? [],
    })
  } finally {
    for (const { contender } of entrants) await contender?.[Symbol.asyncDispose]()
  }
}

/** An engine that takes part, or why it does not. */
async function opened(spec: EngineSpec, ...rest: Rest): Promise<Entrant> {
  const role = spec.family === "kvferry" ? "kvferry" : "peer"
  try {
    return entrant(spec.name, role, await openEngine(spec, ...rest))
  } catch (thrown) {
    const absent = entrant(spec.name, role)
    await leave(absent, thrown)
    return absent
  }
}

type Rest = readonly [LoadRequest, DealtLoad, Pattern, Placement]

/** The ceiling shares the pages of the first engine that is open; without one it has its own. */
async function ceiling(
  entrants: readonly Entrant[],
  request: LoadRequest,
  dealt: DealtLoad,
  pattern: Pattern,
): Promise<Entrant> {
  // Only engines are among them yet.
  const host = entrants.find(({ contender }) => contender !== undefined)?.contender as EngineLoad | undefined
  return entrant("memcpy", "ceiling", await ceilingOf(host?.agents ?? [], request, dealt, pattern))
}

function benched(
  request: LoadRequest,
  dealt: DealtLoad,
  entrants: readonly Entrant[],
  run: {
    readonly startedAt: string
    readonly tookMillis: number
    readonly load: number
    readonly whole: boolean
    readonly notes: readonly string[]
  },
): BenchedLoad {
  const logging = loggingVariables()
  const results = loadResults(entrants, {
    bytes: dealt.bytes,
    seed: request.seed,
    loggingOn: request.verbose || logging.length > 0,
  })
  const verdicts = new Set(results.map(({ verdict }) => verdict))
  const accused = entrants.find(({ wrong }) => wrong !== undefined)
  return {
    document: {
      schema: "kvferry/load/1",
      software: softwareVersion(),
      startedAt: run.startedAt,
      tookMillis: run.tookMillis,
      machine: machineFacts(),
      evidence: evidenceOf(results),
      shape: { ...shapeOf(request), bytes: dealt.bytes },
      notes: [
        ...request.notes,
        ...run.notes,
        ...(request.rounds < roundsForInterval
          ? [
              `${request.rounds} round${request.rounds === 1 ? " is" : "s are"} too few for intervals of 95 %, which take ${roundsForInterval}: those told are the span of the rounds`,
            ]
          : []),
        ...resultNotes(request, results),
        lineRateText(lineRates()),
        ...(request.verbose ? ["logging was on (--verbose): rates are lower than they could be"] : []),
        ...(logging.length === 0
          ? []
          : [
              `logging is on in this environment (${logging.join(", ")}): rates may be lower than they could be`,
            ]),
      ],
      rounds: request.rounds,
      interrupted: !run.whole,
      loadAverage1MinuteBefore: run.load,
      results,
      verdict: verdicts.has("different") ? "different" : verdicts.has("failed") ? "failed" : "identical",
    },
    logs: entrants.flatMap(({ contender }) => contender?.logs ?? []).filter(({ text }) => text !== ""),
    ...(accused === undefined ? {} : { wrong: { engine: accused.name, ...accused.wrong! } }),
  }
}

/** What was asked for, as it stands in a document; how many bytes that are, the dealt load knows. */
export function shapeOf(request: LoadRequest): Omit<LoadShape, "bytes"> {
  const { op, blockBytes, blocks, numBlocks, layers, randomBlocks, seed, threads, batch } = request
  const { prefillEngines, decodeEngines, prefillTp, decodeTp, strategy, integrity, model } = request
  return {
    op,
    blockBytes,
    blocks,
    numBlocks,
    layers,
    randomBlocks,
    seed,
    threads,
    batch,
    prefillEngines,
    decodeEngines,
    prefillTp,
    decodeTp,
    strategy,
    integrity,
    ...(model === undefined ? {} : { model: model.model.name }),
  }
}

/** A software device is a lab's: what it does says nothing of a NIC. */
function evidenceOf(results: LoadDocument["results"]): LoadDocument["evidence"] {
  const paths = results.map(({ receipt }) => receipt?.path)
  const rdma = paths.includes("verbs") || paths.includes("libfabric")
  const real = readRdmaDevices().some(({ ports }) => ports.some(({ gigabits }) => gigabits !== undefined))
  return rdma && !real ? "lab" : "hardware"
}
