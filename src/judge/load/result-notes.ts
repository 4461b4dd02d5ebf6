import type { LoadResult } from "../load-document.ts"
import type { LoadRequest } from "./load-request.ts"

/** Faster than the ceiling by so much is more than a round's noise. */
const aboveCeiling = 1.1

/** What a reader should know of the results, and does not see in them: NICs named in vain, and a ceiling that was none. */
export function resultNotes(
  { devices }: Pick<LoadRequest, "devices">,
  results: readonly LoadResult[],
): string[] {
  return [...deviceNotes(devices, results), ...ceilingNotes(results)]
}

function deviceNotes(devices: LoadRequest["devices"], results: readonly LoadResult[]): string[] {
  if (devices === undefined) return []
  return results.flatMap(({ engine, role, receipt }) =>
    role !== "kvferry" || receipt === undefined || /^(verbs|libfabric)/.test(receipt.path)
      ? []
      : [`${engine}: the bytes went over ${receipt.path}, and no NIC of ${devices.prefill} took part`],
  )
}

function ceilingNotes(results: readonly LoadResult[]): string[] {
  const ceiling = results.find(({ role }) => role === "ceiling")?.bytesPerSecond?.median
  if (ceiling === undefined) return []
  const faster = results.filter(
    ({ bytesPerSecond }) => (bytesPerSecond?.median ?? 0) > ceiling * aboveCeiling,
  )
  if (faster.length === 0) return []
  const names = faster.map(({ engine }) => engine).join(", ")
  return [
    `${names} ${faster.length === 1 ? "was" : "were"} faster than memcpy, the ceiling: more threads copied, or the machine was busy; its shares mean nothing here`,
  ]
}
