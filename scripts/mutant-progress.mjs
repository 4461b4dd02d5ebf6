/**
 * How far a run of mutants is: one live line on a terminal, and elsewhere one line at the start, because a run takes most of an hour
 * and says nothing by itself while the unbroken engine is judged.
 */

/** Rough seconds of suites that pass, on two cores that have nothing else to do. Of `verify`: for each engine. */
const suiteSeconds = { verify: 90, contract: 110, promises: 50, simulation: 40 }
/** Some cases alone, with `--cases`. */
const someCasesSeconds = 15
const compileSeconds = 10
/** One that is shown first to what killed it the last time, twice. */
const knownSeconds = 12
/** A mutant is killed after this share of all that the unbroken engine must pass. It was so in the run of docs/mutants.md. */
const killedAfter = 0.15
/** Mutants whose measured time outweighs what was guessed. */
const trustedAfter = 3
const redrawMillis = 1000

/** What a run is expected to take. */
export class Expectation {
  #jobs
  #mutants
  #control
  #mutant
  #measured = []

  /** @param options.known how many of the mutants are shown first to what killed them the last time. */
  constructor({ mutants, known = 0, jobs, control, engines, suites, cases }) {
    const verify = cases === undefined ? suiteSeconds.verify : someCasesSeconds
    const all = suites
      .map((suite) => (suite === "verify" ? verify * engines : suiteSeconds[suite]))
      .reduce((sum, seconds) => sum + seconds, 0)
    this.#jobs = Math.min(jobs, mutants)
    this.#mutants = mutants
    this.#control = control ? all : 0
    const each = (known * knownSeconds + (mutants - known) * all * killedAfter) / mutants
    this.#mutant = compileSeconds + each
  }

  /** Seconds of the whole, before anything was measured. */
  get seconds() {
    return compileSeconds + this.#control + (this.#mutants * this.#mutant) / this.#jobs
  }

  /** The unbroken engine took so long: mutants take longer by as much. */
  controlTook(seconds) {
    if (this.#control > 0)
      this.#mutant = compileSeconds + (this.#mutant - compileSeconds) * (seconds / this.#control)
    this.#control = 0
  }

  mutantTook(seconds) {
    this.#measured.push(seconds)
  }

  /** Seconds that are left. @param running seconds that each mutant that is judged now has taken. @param controlFor seconds of the control so far. */
  left({ running, controlFor = 0 }) {
    const sum = this.#measured.reduce((total, seconds) => total + seconds, 0)
    const each = (sum + trustedAfter * this.#mutant) / (this.#measured.length + trustedAfter)
    const waiting = this.#mutants - this.#measured.length - running.length
    const now = running.map((seconds) => Math.max(each - seconds, each / 4))
    const work = waiting * each + now.reduce((total, seconds) => total + seconds, 0)
    return Math.max(this.#control - controlFor, this.#control / 20) + work / this.#jobs
  }
}

/** "60 mutants, 2 at a time, control first: about 25 min" */
export function startText({ mutants, jobs, control }, expectation) {
  const parts = [
    `${mutants} mutant${mutants === 1 ? "" : "s"}`,
    ...(jobs > 1 && mutants > 1 ? [`${Math.min(jobs, mutants)} at a time`] : []),
    ...(control ? ["control first"] : []),
  ]
  return `${parts.join(", ")}: about ${roughText(expectation.seconds)}`
}

/** The live line. Nothing is written where there is no terminal. */
export class LiveLine {
  #stream
  #textOf
  #timer
  #drawn = false

  /** @param textOf makes the line's text when it is drawn. */
  constructor(stream, textOf) {
    this.#stream = stream
    this.#textOf = textOf
    if (!isTerminal(stream)) return
    this.draw()
    this.#timer = setInterval(() => this.draw(), redrawMillis)
    this.#timer.unref()
  }

  draw() {
    if (!isTerminal(this.#stream)) return
    const most = Math.max(20, (this.#stream.columns ?? 80) - 1)
    const text = this.#textOf()
    this.#stream.write(`\r\u001b[K${text.length > most ? `${text.slice(0, most - 1)}…` : text}`)
    this.#drawn = true
  }

  /** Writes a line that stays. */
  say(line) {
    this.#clear()
    this.#stream.write(`${line}\n`)
    if (this.#timer !== undefined) this.draw()
  }

  end() {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#clear()
  }

  #clear() {
    if (this.#drawn) this.#stream.write("\r\u001b[K")
    this.#drawn = false
  }
}

/** "12 of 60, 11 min, about 20 min left | 16 verify kvferry:tcp 1 min | 17 compiling 3 s" */
export function liveText({ done, total, elapsed, left, benches }) {
  const head = `${done} of ${total}, ${roughText(elapsed)}, about ${roughText(left)} left`
  const each = benches.map(
    ({ mutant, where, seconds }) => `${shortName(mutant)} ${where} ${roughText(seconds)}`,
  )
  return [head, ...(each.length === 0 && done === 0 ? ["preparing"] : each)].join(" | ")
}

export const isTerminal = (stream) => stream.isTTY === true && process.env.TERM !== "dumb"

/** The number of a listed mutant says enough. */
const shortName = (name) => /^\d+(?=-)/.exec(name)?.[0] ?? name.slice(0, 20)

/** A time that nobody should take for exact. */
function roughText(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`
  return `${(seconds / 3600).toFixed(1)} h`
}
