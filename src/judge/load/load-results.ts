import { quantileOf } from "../../bench/statistics.ts"
import type { Latency, LoadResult } from "../load-document.ts"
import { medianInterval, pairedSpeedRatios } from "./intervals.ts"
import type { Entrant } from "./run-load.ts"

/**
 * What each entrant did, with its ratio to the first engine. No rate is told for bytes that were wrong; one that left for another
 * reason has none either, but keeps the times of its whole rounds.
 */
export function loadResults(
  entrants: readonly Entrant[],
  { bytes, seed, loggingOn }: { readonly bytes: number; readonly seed: number; readonly loggingOn: boolean },
): LoadResult[] {
  const rounds = Math.max(0, ...entrants.map((one) => one.rounds.length))
  const timesOf = (one: Entrant): (number | null)[] =>
    Array.from({ length: rounds }, (_, round) => one.rounds[round]?.micros ?? null)
  const first = entrants.find(({ role, verdict }) => role !== "ceiling" && verdict === "identical")
  return entrants.map((one) => {
    const times = one.verdict === "different" ? timesOf(one).map(() => null) : timesOf(one)
    const rates = times.flatMap((micros) => (micros === null ? [] : [(bytes / micros) * 1e6]))
    const ratios = first === undefined ? [] : pairedSpeedRatios(times, timesOf(first))
    const told = one.verdict === "identical" && rates.length > 0
    return {
      ...headOf(one, loggingOn),
      microsByRound: times,
      ...(told ? { bytesPerSecond: medianInterval(rates, seed), ...measuredOf(one) } : {}),
      ...(told && ratios.length > 0 ? { ratio: medianInterval(ratios, seed) } : {}),
    }
  })
}

function headOf(one: Entrant, loggingOn: boolean) {
  const { name, role, contender, verdict, why, finished } = one
  return {
    engine: name,
    about: contender?.about ?? "",
    version: contender?.version ?? "",
    role,
    verdict,
    ...(why === undefined ? {} : { why }),
    ...(contender?.micros === undefined ? {} : { micros: contender.micros }),
    ...(finished?.hash === undefined ? {} : { hash: finished.hash }),
    ...(finished?.residentBytes === undefined ? {} : { residentBytes: finished.residentBytes }),
    ...(finished?.receipt === undefined ? {} : { receipt: finished.receipt }),
    loggingOn,
  }
}

function measuredOf({ rounds }: Entrant): { latency: Latency; cpuSecondsPerGb: number } {
  const whole = rounds.filter((round) => round !== null && round !== undefined)
  const samples = whole.flatMap((round) => round.samples)
  const bytes = whole.reduce((sum, round) => sum + round.bytes, 0)
  const cpu = whole.reduce((sum, round) => sum + round.cpuMicros, 0)
  const at = (share: number): number => quantileOf(samples, share)
  return {
    latency: { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1) },
    cpuSecondsPerGb: cpu / 1e6 / (bytes / 1e9),
  }
}
