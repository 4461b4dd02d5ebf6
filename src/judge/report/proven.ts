import type { LoadDocument, LoadResult } from "../load-document.ts"

/**
 * The document without any figure of bytes that were not proven right: no view of it can show a rate, a time or a ratio of
 * an engine that moved wrong bytes or did not get to its end.
 */
export function withoutUnproven(document: LoadDocument): LoadDocument {
  const proven = new Set(
    document.results.filter(({ verdict }) => verdict === "identical").map(({ engine }) => engine),
  )
  const { matrix, comparison } = document
  return {
    ...document,
    results: document.results.map(stripped),
    ...(matrix === undefined
      ? {}
      : {
          matrix: matrix.map((pair) => {
            const { bytesPerSecond: _, ...rest } = pair
            return pair.verdict === "identical" ? pair : rest
          }),
        }),
    ...(comparison === undefined
      ? {}
      : { comparison: comparison.filter(({ engine }) => proven.has(engine)) }),
  }
}

function stripped(result: LoadResult): LoadResult {
  if (result.verdict === "identical") return result
  const { bytesPerSecond: _rate, latency: _latency, ratio: _ratio, cpuSecondsPerGb: _cpu, ...rest } = result
  return { ...rest, microsByRound: [] }
}
