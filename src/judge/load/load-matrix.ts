import { quantileOf } from "../../bench/statistics.ts"
import { KvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"
import type { Style } from "../../terminal/style.ts"
import { tableLines } from "../../terminal/table.ts"
import { type EngineSpec, parseEngineSpec } from "../engine-spec.ts"
import type { PairResult } from "../load-document.ts"
import { type BenchOptions, benchLoad } from "./bench-load.ts"
import type { LoadRequest } from "./load-request.ts"

/** Each cell is a run of its own, with its own processes. */
const cellsMax = 256
/** What one cell is measured for. */
const cellRounds = 3
const cellSeconds = 0.5
/** A pair below this share of its engine's median is slow. */
const slowShare = 0.8
/** Paths of kvferry that every machine may have. */
const plainPaths = ["shm", "cma", "tcp"] as const

/** One pair, to be measured alone. */
export interface Cell {
  readonly from: string
  readonly to: string
  readonly engine: EngineSpec
  readonly devices?: Readonly<Record<"prefill" | "decode", string>>
}

/** What the two hosts have. */
export interface MatrixEnds {
  /** NICs of the prefill side and of the decode side. */
  readonly prefill: readonly string[]
  readonly decode: readonly string[]
}

/**
 * All pairs: of the NICs of both sides where there are some, else of the engines of both sides; and each of kvferry's paths where
 * none was named.
 * @throws KvError KV_LIMIT for more pairs than anybody waits for.
 */
export function matrixCells(request: LoadRequest, ends: MatrixEnds): Cell[] {
  const nics = ends.prefill.length > 0 && ends.decode.length > 0
  const cells = request.engines.flatMap((engine): Cell[] => {
    if (nics && engine.family === "kvferry" && (engine.path === undefined || engine.path === "verbs")) {
      const verbs = engine.path === undefined ? parseEngineSpec("kvferry:verbs") : engine
      return pairsOf(ends.prefill, ends.decode).map(([prefill, decode]) => ({
        from: prefill,
        to: decode,
        engine: verbs,
        devices: { prefill, decode },
      }))
    }
    const paths = request.paths ?? plainPaths
    const specs =
      engine.family === "kvferry" && engine.path === undefined
        ? paths.map((path) => parseEngineSpec(`kvferry:${path}`))
        : [engine]
    const side = (name: string, count: number): string[] =>
      Array.from({ length: count }, (_, i) => `${name}-${i}`)
    const pairs = pairsOf(side("prefill", request.prefillEngines), side("decode", request.decodeEngines))
    return specs.flatMap((spec) => pairs.map(([from, to]) => ({ from, to, engine: spec })))
  })
  if (cells.length <= cellsMax) return cells
  throw new KvError("KV_LIMIT", {
    what: `--matrix would be ${cells.length} pairs`,
    why: `each is measured alone, one after the other; ${cellsMax} at most`,
    next: "name fewer --engines, --devices, --prefill-engines or --decode-engines",
  })
}

/** Measures each pair alone. Ends early when it is aborted: what there is comes back. */
export async function benchMatrix(
  request: LoadRequest,
  cells: readonly Cell[],
  options: BenchOptions,
): Promise<PairResult[]> {
  const results: PairResult[] = []
  for (const [i, { from, to, engine, devices }] of cells.entries()) {
    if (options.signal.aborted) break
    const label = `matrix: ${from} to ${to}, ${engine.name}`
    options.onStep(label, i / cells.length)
    const { document } = await benchLoad(
      {
        ...request,
        engines: [engine],
        memcpy: false,
        prefillEngines: 1,
        decodeEngines: 1,
        rounds: Math.min(cellRounds, request.rounds),
        duration: Math.min(cellSeconds, request.duration),
        devices: devices ?? request.devices,
        notes: [],
      },
      { ...options, onStep: () => options.onStep(label, i / cells.length) },
    )
    const [result] = document.results
    if (result === undefined || document.interrupted) break
    const { verdict, bytesPerSecond, why } = result
    results.push({
      from,
      to,
      engine: engine.name,
      verdict,
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond: bytesPerSecond.median }),
      ...(why === undefined ? {} : { why }),
    })
  }
  return results
}

/** A table for each engine: from whom in rows, to whom in columns, GB/s. A slow pair is marked. */
export function matrixLines(matrix: readonly PairResult[], style: Style): string[] {
  const engines = [...new Set(matrix.map(({ engine }) => engine))]
  const tables = engines.flatMap((engine) => {
    const mine = matrix.filter((pair) => pair.engine === engine)
    const rates = mine.flatMap(({ bytesPerSecond }) => (bytesPerSecond === undefined ? [] : [bytesPerSecond]))
    const slow = rates.length < 2 ? 0 : quantileOf(rates, 0.5) * slowShare
    const [froms, tos] = [[...new Set(mine.map(({ from }) => from))], [...new Set(mine.map(({ to }) => to))]]
    const rows = froms.map((from) => [
      oneLine(from, 40),
      ...tos.map((to) =>
        cellText(
          mine.find((pair) => pair.from === from && pair.to === to),
          slow,
        ),
      ),
    ])
    const columns = [{ title: "GB/s" }, ...tos.map((to) => ({ title: oneLine(to, 40), number: true }))]
    return [style.strong(oneLine(engine, 60)), ...tableLines(columns, rows), ""]
  })
  const wrong = matrix.filter(({ verdict }) => verdict !== "identical")
  return [
    ...tables,
    `! below ${slowShare * 100} % of its engine's median; each pair was measured alone`,
    ...wrong.map(({ from, to, engine, verdict, why }) =>
      style.bad(
        `${oneLine(from, 40)} to ${oneLine(to, 40)}, ${oneLine(engine, 60)}: ${verdict}: ${oneLine(why ?? "", 300)}`,
      ),
    ),
  ]
}

function cellText(pair: PairResult | undefined, slow: number): string {
  if (pair === undefined) return "-"
  if (pair.bytesPerSecond === undefined) return pair.verdict === "different" ? "WRONG" : "failed"
  return `${(pair.bytesPerSecond / 1e9).toPrecision(3)}${pair.bytesPerSecond < slow ? " !" : ""}`
}

const pairsOf = (a: readonly string[], b: readonly string[]): (readonly [string, string])[] =>
  a.flatMap((one) => b.map((other) => [one, other] as const))
