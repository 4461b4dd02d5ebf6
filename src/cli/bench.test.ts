/** `kvferry bench` as a whole, with loads of some kilobytes. No time is judged here. */
import assert from "node:assert/strict"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { untar } from "../judge/bundle/untar.test.kit.ts"
import { printedLoad } from "../judge/load/load-schema.test.kit.ts"

const main = fileURLToPath(new URL("./main.js", import.meta.url))
const limit = { timeout: 120_000 }
const folder = mkdtempSync(join(tmpdir(), "kvferry-bench-"))
const secret = join(folder, "secret")
writeFileSync(secret, "0123456789abcdef0123456789abcdef\n", { mode: 0o600 })
after(() => rmSync(folder, { recursive: true }))

const tiny = ["--block-size", "4K", "--blocks", "3", "--rounds", "3", "--duration", "0.05"]
const env = { ...process.env, KVFERRY_SECRET_FILE: secret }

interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const bench = (...args: readonly string[]): Ran =>
  spawnSync(process.execPath, [main, "bench", ...args], { encoding: "utf8", env })

test("one document, its page, its bundle, and the same load held against it", limit, () => {
  const [old, page, bundle] = ["a.json", "a.html", "a.tar.gz"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const first = bench(...tiny, "--json", "--report", page, "--bundle", bundle)
  assert.equal(first.status, 0, first.stderr)
  const document = printedLoad(first.stdout)
  assert.deepEqual(
    document.results.map(({ engine }) => engine),
    ["memcpy", "kvferry"],
  )
  assert.equal(document.shape.blockBytes, 4096)
  assert.match(readFileSync(page, "utf8"), /<svg/)
  const packed = [...untar(readFileSync(bundle))].find(([path]) => path.endsWith("/load.json"))
  assert.deepEqual(printedLoad(packed![1].toString()).shape, document.shape)
  writeFileSync(old, first.stdout)
  const second = bench(...tiny, "--compare", old)
  assert.equal(second.status, 0, second.stderr)
  assert.match(
    second.stdout,
    /Compared with the older document\n {2}kvferry: (same|faster|slower|too noisy): shares of memcpy/,
  )
  const third = bench(...tiny, "--compare", old, "--json")
  assert.deepEqual(
    printedLoad(third.stdout).comparison?.map(({ engine }) => engine),
    ["kvferry"],
  )
  const other = bench(...tiny, "--blocks", "4", "--compare", old, "--json")
  assert.equal(other.status, 2)
  assert.match(other.stderr, /another load|blocks 3 then, 4 now/)
  assert.doesNotMatch(other.stdout, /"results"/, "it was told before anything ran")
})

test("standard output that takes nothing is told, and the report is written all the same", limit, () => {
  const page = join(folder, "full.html")
  const full = openSync("/dev/full", "w")
  try {
    const ran = spawnSync(process.execPath, [main, "bench", ...tiny, "--report", page], {
      encoding: "utf8",
      env,
      stdio: ["ignore", full, "pipe"],
    })
    assert.equal(ran.status, 3)
    assert.match(ran.stderr, /standard output could not be written \(KV_OS\)/)
    assert.match(readFileSync(page, "utf8"), /<svg/)
  } finally {
    closeSync(full)
  }
})

test("what makes no sense is told before anything runs", limit, () => {
  for (const [args, words] of [
    [["--model", "llama-3.1-70b", "--blocks", "3"], /--model and --blocks/],
    [["--tp", "8"], /--tp without --model/],
    [["--strategy", "spread"], /bench target/],
    [["--report", "/proc/none/x.html"], /--report/],
    [["--bundle", folder], /--bundle/],
    [["--compare", join(folder, "none.json")], /--compare cannot use/],
    [["--block-size", "64KB"], /64KiB/],
    [["--engines", "kvfairy"], /is no engine/],
    [["--engines", "kvferry:pigeon"], /kvferry has no path "pigeon"/],
    [["--report", ""], /it is no name/],
    [["--report", join(folder, "one"), "--bundle", join(folder, "one")], /name one file/],
    [["--quick"], /unknown option/],
    [["--mode=initiator", "--segment_id=x:1"], /P2PHANDSHAKE/],
    [["initiator", "--target", "nowhere"], /is not HOST:PORT/],
  ] as const) {
    const ran = bench(...args)
    assert.equal(ran.status, 2, `${args.join(" ")}: ${ran.stderr}`)
    assert.match(ran.stderr, words)
    assert.equal(ran.stdout, "")
  }
})

test("a model's formula is printed before what one rank of it moves", limit, () => {
  const ran = bench(
    "--model",
    "qwen3-0.6b",
    "--isl",
    "64",
    "--tp",
    "2",
    "--rounds",
    "2",
    "--duration",
    "0.05",
  )
  assert.equal(ran.status, 0, ran.stderr)
  assert.match(
    ran.stdout,
    /a token: 2 \(K, V\) × 8 heads × 128 numbers × 2 bytes × 28 layers = 114,688 bytes/,
  )
  assert.match(ran.stdout, /4 blocks × 28 layers × 32.0 KiB \(qwen3-0.6b\)/)
  assert.match(ran.stdout, /what one of 2 ranks moves is measured/)
})

test("every path is a cell of the matrix", limit, () => {
  const ran = bench(...tiny, "--matrix", "--engines", "kvferry", "--paths", "shm,tcp", "--json")
  const { matrix } = printedLoad(ran.stdout)
  assert.deepEqual(
    matrix!.map(({ engine, verdict }) => `${engine} ${verdict}`),
    ["kvferry:shm identical", "kvferry:tcp identical"],
  )
})

test("an engine that is not there is exit code 3, and the others are measured", limit, () => {
  const engines = ["--engines", "kvferry,nixl==0.0.0:UCX,memcpy"]
  const ran = bench(...tiny, ...engines)
  assert.equal(ran.status, 3)
  assert.match(ran.stdout, /nixl==0\.0\.0:UCX: did not run: /)
  assert.match(ran.stdout, /every byte right, memcpy, kvferry/)
  const { results, matrix } = printedLoad(bench(...tiny, ...engines, "--matrix", "--json").stdout)
  assert.deepEqual(
    results.map(({ verdict }) => verdict),
    ["identical", "identical", "failed"],
  )
  assert.match(matrix!.find(({ engine }) => engine.startsWith("nixl"))!.why!, /nixl/)
})

test("Ctrl-C prints what there is, as partial; nothing is left behind", limit, async () => {
  const child = spawn(process.execPath, [main, "bench", ...tiny, "--rounds", "1000", "--duration", "60"], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  })
  let printed = ""
  child.stdout.on("data", (data: Buffer) => {
    printed += data.toString()
  })
  for (let i = 0; i < 300 && childrenOf(child).length < 2; i++) await sleep(100)
  const drivers = childrenOf(child)
  await sleep(2000)
  assert.ok(drivers.length >= 2, "two drivers run")
  const exited = once(child, "exit")
  child.kill("SIGINT")
  const [code] = await exited
  assert.equal(code, 130)
  assert.match(printed, /PARTIAL: interrupted, \d+ of 1000 rounds are here/)
  for (const pid of drivers) assert.ok(!existsSync(`/proc/${pid}`), "its drivers have ended")
})

test("the two command lines of transfer_engine_bench", limit, async () => {
  const target = spawn(
    process.execPath,
    [
      main,
      "bench",
      "--mode=target",
      "--auto_discovery",
      "--metadata_server=P2PHANDSHAKE",
      "--local_server_name=127.0.0.1:0",
    ],
    { stdio: ["ignore", "pipe", "pipe"], env },
  )
  try {
    const [line] = (await once(target.stdout, "data")) as [Buffer]
    const { address } = JSON.parse(line.toString()) as { address: string }
    const ran = bench(
      "--mode=initiator",
      "--auto_discovery",
      "--metadata_server=P2PHANDSHAKE",
      `--segment_id=${address}`,
      ...["--block_size=4096", "--batch_size=8", "--threads=2", "--duration=0.1", "--buffer_size=1048576"],
      "--report_unit=Gb",
    )
    assert.equal(ran.status, 0, ran.stderr + ran.stdout)
    assert.match(ran.stdout, /16 blocks × 1 layer × 4.00 KiB: 64.0 KiB a round, read/)
    assert.match(ran.stdout, /batches of 8, 2 threads/)
    assert.match(ran.stdout, /Test completed: kvferry, throughput \d+\.\d\d Gb\/s/)
  } finally {
    const exited = once(target, "exit")
    target.kill("SIGTERM")
    await exited
  }
})

/** Processes that a process has started. */
function childrenOf({ pid }: ChildProcess): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean)
}
