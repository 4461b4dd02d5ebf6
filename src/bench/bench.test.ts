/** The bench at the size of a few KB, so that it does not rot. No time is judged here. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { progressOn } from "../terminal/progress.ts"
import { styleFor } from "../terminal/style.ts"
import { measure } from "./bench.ts"
import type { BenchReport } from "./bench-report.ts"
import { choose } from "./choose.ts"
import type { JobName } from "./phases.ts"
import { recordFiles } from "./report/record.ts"
import type { BenchSizes } from "./sizes.ts"

// Whoever has installed peers has them judged elsewhere: here none is there.
process.env["XDG_CACHE_HOME"] = "/nonexistent"
delete process.env["KVFERRY_PEERS_PYTHON"]

const style = styleFor({ isTTY: false }, {})
const limit = { timeout: 120_000 }

const tinySizes: BenchSizes = {
  pool: { layers: 2, blocks: 16 },
  kvBlocks: 3,
  tinyBlocks: 10,
  crowdBlocks: 5,
  ticketsMax: 10,
  peersMax: 2,
  peersPool: { layers: 1, blocks: 8 },
  rounds: { large: 2, integrity: 1, small: 1, idle: 1 },
  repeats: { small: 2, read: 3, idle: 2 },
  curveRepeats: 1,
  planRepeats: 2,
  idleSeconds: 0.1,
  secondsPerContender: 1,
}
const withoutEngine: JobName[] = ["kv", "small", "tiny", "read", "integrity", "plan", "idle", "curves"]

async function benchTiny(
  options: {
    readonly jobs?: readonly JobName[]
    readonly compiler?: boolean
    readonly damage?: boolean
    readonly signal?: AbortSignal
    readonly python?: string
    readonly only?: readonly string[]
  } = {},
): Promise<{ readonly report: BenchReport; readonly printed: string }> {
  const { jobs = withoutEngine, compiler = true, damage = false, python, only } = options
  const signal = options.signal ?? new AbortController().signal
  const printed: string[] = []
  const choice = choose(only, jobs)
  const flags = { quick: true, json: false, record: undefined, python, compiler, sizes: tinySizes }
  const report = await measure(
    { ...flags, ...choice },
    {
      style,
      tell: (lines) => void printed.push(...lines),
      phases: { progress: progressOn(process.stderr), signal, damage },
    },
  )
  return { report, printed: printed.join("\n") }
}

test(
  "a tiny bench moves every byte through every ceiling and every lane, and prints its hash",
  limit,
  async () => {
    const { report, printed } = await benchTiny()
    assert.equal(report.verdict, "identical")
    const ids = new Set(report.lineups.map(({ id }) => id))
    for (const id of ["kv", "attach", "small", "tiny", "read, awake", "read, idle", "integrity"])
      assert.ok(ids.has(id), id)
    for (const { results, hash, rounds } of report.lineups) {
      assert.match(hash, /^[0-9a-f]{16}$/)
      assert.ok(printed.includes(hash))
      assert.ok(results.some(({ role }) => role === "kvferry"))
      for (const { name, verdict, firstDifference, micros, microsByRound } of results) {
        assert.notEqual(verdict, "different", firstDifference)
        assert.ok(micros.min > 0 && micros.min <= micros.median && micros.median <= micros.max, name)
        assert.equal(microsByRound.length, rounds)
      }
    }
    assert.deepEqual(
      new Set(report.curves.map(({ unit }) => unit)),
      new Set(["blocks", "tickets", "moves", "peers", "blocks attached"]),
    )
    assert.ok(report.plans.length > 0 && report.idle.length > 0 && report.integrity.length > 0)
    assert.ok(report.peers.every(({ runs, about }) => !runs && about.startsWith("not installed")))
    const [page, figures, picture] = recordFiles("/somewhere/record.md", report)
    assert.match(page!.text, /## Targets/)
    assert.deepEqual(JSON.parse(figures!.text), JSON.parse(JSON.stringify(report)))
    assert.match(picture!.text, /<polyline/)
  },
)

test("without a compiler the ceilings are the FFI's, and it is said", limit, async () => {
  const { report, printed } = await benchTiny({ compiler: false, jobs: ["kv", "read"], only: ["shm", "tcp"] })
  assert.equal(report.verdict, "identical")
  assert.match(printed, /for want of C \(--no-compiler\)/)
  assert.ok(report.lineups[0]!.results.some(({ name }) => name === "plain stream × 2"))
})

test("one flipped bit among the moved bytes is a verdict of the bench", limit, async () => {
  const { report, printed } = await benchTiny({ damage: true, jobs: ["small"], only: ["shm", "tcp"] })
  assert.equal(report.verdict, "different")
  for (const { role, verdict, firstDifference } of report.lineups[0]!.results) {
    assert.equal(verdict, role === "kvferry" ? "different" : "identical")
    if (role === "kvferry") assert.match(firstDifference!, /region \d+, offset \d+: 0x/)
  }
  assert.match(printed, /bytes differ/)
})

test("a Python without the peers is named in the table, and the rest is measured", limit, async () => {
  const { report } = await benchTiny({
    jobs: ["small"],
    only: ["tcp", "nixl"],
    python: "/nonexistent/python",
  })
  assert.equal(report.verdict, "identical")
  assert.match(report.peers[0]!.about, /^not installed: .*ENOENT/)
})

test("an interrupted bench ends at once, with its processes", limit, async () => {
  const abort = new AbortController()
  const running = benchTiny({ signal: abort.signal })
  setTimeout(() => abort.abort(), 50)
  await assert.rejects(running, { code: "KV_CANCELLED" })
})

test("a fabric, a peer or a job that is not known is refused with the list of those that are", () => {
  assert.throws(() => choose(["smoke"], undefined), /KV_USAGE|smoke/)
  assert.throws(() => choose(undefined, ["smoke"]), /smoke/)
  assert.throws(() => choose(["nixl"], undefined), /no fabric of kvferry's/)
})

test("a fabric that needs a library is measured when it is named, and only then", () => {
  const fabricsOf = (only: string[] | undefined): string[] => [
    ...new Set(choose(only, undefined).lanes.map(({ fabric }) => fabric)),
  ]
  assert.deepEqual(fabricsOf(undefined), ["shm", "cma", "tcp"])
  assert.deepEqual(fabricsOf(["libfabric", "nixl"]), ["libfabric"])
})
