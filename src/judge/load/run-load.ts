import { KvError } from "../../errors/kv-error.ts"
import { oneLine } from "../../terminal/one-line.ts"
import { DriverFailed } from "../driver/driver-failed.ts"
import type { LoadResult } from "../load-document.ts"
import { type Contender, type Finished, type RoundOfContender, WrongBytes } from "./contender.ts"

/** Longest reason that is kept. */
const whyMax = 600

/** One contender and what it has done so far. */
export interface Entrant {
  readonly name: string
  readonly role: Contender["role"]
  /** Undefined when it was never opened. */
  readonly contender: Contender | undefined
  /** It takes no further part. */
  left: boolean
  readonly rounds: (RoundOfContender | null)[]
  verdict: LoadResult["verdict"]
  why?: string
  wrong?: WrongBytes["wrong"]
  finished?: Finished
}

export interface RunOptions {
  readonly rounds: number
  /** Of each contender in each round. */
  readonly millis: number
  readonly signal: AbortSignal
  /** Told before each step: what is done now, and how far the whole is. */
  readonly onStep: (label: string, fraction: number) => void
}

/** An entrant that has not run yet. */
export function entrant(name: string, role: Contender["role"], contender?: Contender): Entrant {
  return { name, role, contender, left: false, rounds: [], verdict: "identical" }
}

/**
 * Verifies everybody, then measures them in rounds, each round beginning with another one, then looks at every byte once more.
 *
 * Whoever fails leaves with the reason, and the others go on, while there is an engine among them. An abort ends it after the
 * step that is under way: what there is stays. Returns whether it ran to its end.
 */
export async function runLoad(entrants: readonly Entrant[], options: RunOptions): Promise<boolean> {
  const { rounds, millis, signal, onStep } = options
  for (const one of entrants) {
    if (signal.aborted) return false
    onStep(`verifying ${one.name}`, 0)
    await stepOf(one, (contender) => contender.verify())
  }
  const engineIsIn = (): boolean => entrants.some(({ role, left }) => role !== "ceiling" && !left)
  for (let round = 0; round < rounds && (round === 0 || engineIsIn()); round++) {
    // The ceiling and whoever was asked for first begin the first round.
    for (let turn = 0; turn < entrants.length; turn++) {
      const one = entrants[(round + turn) % entrants.length]!
      if (signal.aborted) return false
      onStep(`round ${round + 1} of ${rounds}: ${one.name}`, (round + turn / entrants.length) / rounds)
      one.rounds[round] = null
      await stepOf(one, async (contender) => {
        one.rounds[round] = await contender.round(round, millis)
      })
    }
  }
  for (const one of entrants) {
    if (signal.aborted) return false
    onStep(`checking what ${one.name} moved`, 1)
    await stepOf(one, async (contender) => {
      one.finished = await contender.finish()
    })
  }
  return true
}

/** Runs one step of a contender; one that fails has left. */
async function stepOf(one: Entrant, step: (contender: Contender) => Promise<void>): Promise<void> {
  if (one.contender === undefined || one.left) return
  try {
    await step(one.contender)
  } catch (thrown) {
    await leave(one, thrown)
  }
}

/** Takes a contender out of the run, with what it said. What is our own mistake is thrown again. */
export async function leave(one: Entrant, thrown: unknown): Promise<void> {
  one.left = true
  await one.contender?.end()
  if (thrown instanceof WrongBytes) {
    one.verdict = "different"
    one.wrong = thrown.wrong
    one.why = oneLine(`${thrown.wrong.agent}: ${thrown.message}`, whyMax)
    return
  }
  if (!(thrown instanceof DriverFailed) && !(thrown instanceof KvError)) throw thrown
  const done = one.rounds.filter((round) => round !== null && round !== undefined).length
  const when = done === 0 ? "" : `after ${done} whole round${done === 1 ? "" : "s"}: `
  one.verdict = "failed"
  one.why = oneLine(`${when}${thrown.message}`, whyMax)
}
