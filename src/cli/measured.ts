import { readFileSync } from "node:fs"
import { KvError } from "../errors/kv-error.ts"
import type { ForecastJob } from "../plan/forecast.ts"
import { readReceiptLine } from "../receipt/read-receipt.ts"

/** One thing that was measured: how long a job took, and over what. */
export interface Measured {
  readonly name: string
  readonly micros: number
  readonly bytes: number
  /** Payload bytes by local rail, where the record has them. */
  readonly rails?: readonly { readonly rail: number; readonly bytes: number }[]
}

/** What a file holds: a job, and how long it took whom. */
export interface MeasuredRecord {
  readonly kind: "receipt" | "bench"
  /** The job that was moved: the receipt's own, or the lineup's. */
  readonly job: ForecastJob
  readonly runs: readonly Measured[]
}

/** A record of the bench is a few hundred kilobytes. */
const bytesMax = 64 * 2 ** 20
const runsMax = 40

/**
 * Reads a record of `kvferry bench record`, one receipt, or an array of receipts (the last one counts).
 *
 * @param lineup which table of a bench's record: `kv`, `small` or `tiny`.
 * @throws KvError KV_USAGE for a file that is none of these.
 */
export function readMeasured(file: string, lineup: string): MeasuredRecord {
  let document: unknown
  try {
    const text = readFileSync(file)
    if (text.byteLength > bytesMax) throw new RangeError(`it has ${text.byteLength} bytes`)
    document = JSON.parse(text.toString("utf8"))
  } catch (thrown) {
    throw unusable(file, thrown instanceof Error ? thrown.message : String(thrown))
  }
  const last: unknown = Array.isArray(document) ? document.at(-1) : document
  const receipt = readReceiptLine(JSON.stringify(last))
  if (receipt !== undefined) {
    const { transport, rails } = receipt.path
    return {
      kind: "receipt",
      job: jobOf(`receipt of ${receipt.requestId}`, receipt.pieces, receipt.bytes, file),
      runs: [{ name: `${transport}, move`, micros: receipt.micros.move, bytes: receipt.bytes, rails }],
    }
  }
  return benchOf(document, lineup, file)
}

function benchOf(document: unknown, wanted: string, file: string): MeasuredRecord {
  const lineups = isObject(document) && Array.isArray(document["lineups"]) ? document["lineups"] : []
  const found = lineups.filter(isObject).filter(({ id }) => id === wanted)
  if (found.length === 0) {
    throw unusable(file, `it is neither a receipt nor a record of the bench with a table ${wanted}`)
  }
  const [first] = found
  const [pieces, bytes] = [Number(first!["pieces"]), Number(first!["bytes"])]
  const runs = found.flatMap(({ results, pages }) =>
    (Array.isArray(results) ? results : []).filter(isObject).flatMap((result): Measured[] => {
      const micros = isObject(result["micros"]) ? Number(result["micros"]["median"]) : Number.NaN
      if (result["role"] !== "kvferry" || !(micros > 0)) return []
      return [{ name: `${String(result["name"])} (${String(pages)})`, micros, bytes }]
    }),
  )
  return { kind: "bench", job: jobOf(wanted, pieces, bytes, file), runs: runs.slice(0, runsMax) }
}

/** A job of pieces of the mean length: of a receipt no more is known. */
function jobOf(name: string, pieces: number, bytes: number, file: string): ForecastJob {
  const piecesMax = 10_000_000
  if (!(Number.isSafeInteger(pieces) && pieces >= 1 && pieces <= piecesMax && bytes >= pieces)) {
    throw unusable(file, `${pieces} pieces of ${bytes} bytes in all are no job`)
  }
  return { name, pieces, bytes: Math.round(bytes / pieces) }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const unusable = (file: string, why: string): KvError =>
  new KvError("KV_USAGE", {
    what: `${file} cannot be compared with`,
    why,
    next: "name a record of kvferry bench record --json, or a receipt as kvferry receipts --json prints it",
  })
