/** `npm run mutants` says how far it is: on a terminal on one line, elsewhere once. */
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

const script = fileURLToPath(new URL("../../scripts/mutants.mjs", import.meta.url))
const git = spawnSync("git", ["--version"]).status === 0
const skip = !git ? "there is no git here" : !existsSync(script) ? "only in a clone" : false

interface Run {
  readonly mutants: number
  readonly known?: number
  readonly jobs: number
  readonly control: boolean
  readonly engines: number
  readonly suites: readonly string[]
  readonly cases?: string
}

interface Expectation {
  readonly seconds: number
  controlTook(seconds: number): void
  mutantTook(seconds: number): void
  left(now: { readonly running: readonly number[]; readonly controlFor?: number }): number
}

interface Progress {
  readonly Expectation: new (run: Run) => Expectation
  readonly LiveLine: new (
    stream: { readonly isTTY?: boolean; readonly columns?: number; write(text: string): void },
    textOf: () => string,
  ) => { draw(): void; say(line: string): void; end(): void }
  startText(run: Run, expectation: Expectation): string
  liveText(now: {
    readonly done: number
    readonly total: number
    readonly elapsed: number
    readonly left: number
    readonly benches: readonly { readonly mutant: string; readonly where: string; readonly seconds: number }[]
  }): string
}

const load = async (): Promise<Progress> =>
  (await import(new URL("../../scripts/mutant-progress.mjs", import.meta.url).href)) as Progress

const whole: Run = {
  mutants: 60,
  jobs: 2,
  control: true,
  engines: 4,
  suites: ["verify", "contract", "promises", "simulation"],
}

test("what is left follows what was measured", { skip }, async () => {
  const { Expectation, startText } = await load()
  const all = new Expectation(whole)
  assert.match(startText(whole, all), /^60 mutants, 2 at a time, control first: about \d+ min$/)
  const some = { ...whole, mutants: 1, control: false, suites: ["verify"], cases: "shapes/*" }
  assert.match(startText(some, new Expectation(some)), /^1 mutant: about \d+ s$/)
  assert.ok(new Expectation({ ...whole, jobs: 1 }).seconds > all.seconds)
  assert.ok(
    new Expectation({ ...whole, known: 60 }).seconds < all.seconds / 2,
    "what is asked first is a short question",
  )
  const before = all.left({ running: [] })
  assert.ok(all.left({ running: [], controlFor: 100 }) <= before - 100)
  all.controlTook(10_000)
  assert.ok(all.left({ running: [] }) > before, "a slow machine is slow for mutants, too")
  for (let i = 0; i < 58; i++) all.mutantTook(10)
  const last = all.left({ running: [5, 5] })
  assert.ok(last > 0 && last < 600, String(last))
  all.mutantTook(10)
  assert.ok(all.left({ running: [5] }) < last)
})

test("the live line names each bench, is no longer than the terminal, and lets lines through that stay", {
  skip,
}, async () => {
  const { LiveLine, liveText } = await load()
  const benches = [
    { mutant: "16-cut-piece-starts-again", where: "verify kvferry:tcp", seconds: 41 },
    { mutant: "a-mutant-of-somebodys-own", where: "compiling", seconds: 3 },
  ]
  const text = liveText({ done: 12, total: 60, elapsed: 540, left: 1500, benches })
  assert.equal(
    text,
    "12 of 60, 9 min, about 25 min left | 16 verify kvferry:tcp 41 s | a-mutant-of-somebody compiling 3 s",
  )
  assert.match(
    liveText({ done: 0, total: 60, elapsed: 1, left: 7200, benches: [] }),
    /about 2\.0 h left \| preparing/,
  )
  const written: string[] = []
  const stream = { isTTY: true, columns: 40, write: (part: string) => void written.push(part) }
  const term = process.env["TERM"]
  process.env["TERM"] = "xterm"
  try {
    const live = new LiveLine(stream, () => text)
    live.say("a line")
    live.end()
    live.end()
  } finally {
    if (term === undefined) delete process.env["TERM"]
    else process.env["TERM"] = term
  }
  const drawn = `\r\u001b[K${text.slice(0, 38)}…`
  assert.deepEqual(written, [drawn, "\r\u001b[K", "a line\n", drawn, "\r\u001b[K"])
  const silent: string[] = []
  const other = new LiveLine({ write: (part: string) => void silent.push(part) }, () => text)
  other.draw()
  other.say("a line")
  other.end()
  assert.deepEqual(silent, ["a line\n"])
})

test("without a terminal one line says at the start how long it takes", {
  skip,
  timeout: 120_000,
}, async () => {
  const child = spawn(process.execPath, [script, "--only", "1", "--suites", "simulation"], {
    stdio: ["ignore", "ignore", "pipe"],
  })
  let said = ""
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    if (said === "") child.kill("SIGTERM")
    said += chunk
  })
  const [code] = await once(child, "close")
  assert.equal(code, 130, said)
  assert.match(said, /^mutants: 1 mutant, control first: about \d+ (s|min)\n$/)
})
