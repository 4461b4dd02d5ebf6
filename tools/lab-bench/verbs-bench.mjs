/**
 * What verbs reaches in this guest, beside its ceilings, in one run. Start it with `npm run lab -- node tools/lab-bench/verbs-bench.mjs`.
 *
 * - READ of 128 blocks x 8 layers x 64 KiB between two processes, beside `ib_read_bw -s 65536`, which reads the same 64 KiB again
 *   and again, and beside a bare loop over libibverbs by FFI that reads as many bytes from as many places as the job
 * - READ of the same 64 KiB again and again, as `ib_read_bw` does
 * - READs of 8 bytes from chains of 32, beside a bare loop over libibverbs by FFI
 *
 * All take turns, and a ratio is the median of the rounds' ratios. First touch of memory is not part of any figure. `--json` prints one document.
 */
import { execFileSync, fork, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { openRaw, rawReads } from "./raw-verbs.mjs"

const here = (path) => new URL(`../../dist/${path}`, import.meta.url)
const { createVerbs } = await import(here("transport/verbs/verbs.js"))
const { hostMemory } = await import(here("os/host-memory.js"))
const { PlanBuilder } = await import(here("plan/transfer-plan.js"))

const device = process.env["LAB_DEVICE"] ?? "rxe0"
const rounds = Number(process.env["LAB_ROUNDS"] ?? 7)
const [blocks, layers, blockBytes] = [128, 8, 65536]
const poolBytes = blocks * layers * blockBytes
const both = { read: true, write: true }
const open = (options = {}) =>
  createVerbs({ devices: [{ device }], ...options }).open({ host: "127.0.0.1", rails: 1 })
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

if (process.argv[2] === "serve") await serve()
else await measure()

/** The owner of the pool: it registers, and its NIC does the rest. */
async function serve() {
  const endpoint = await open()
  const pool = hostMemory.map(poolBytes, "lab-bench-source")
  pool.view(0, poolBytes).fill(7)
  const remote = await endpoint.register(1, pool, both)
  process.on("message", async ({ id, key }) => {
    await endpoint.admit({ id, key: Buffer.from(key, "hex") }, both)
    process.send({ address: endpoint.address, remote })
  })
  process.on("disconnect", () => process.exit(0))
  process.send("ready")
}

async function measure() {
  const child = fork(fileURLToPath(import.meta.url), ["serve"])
  const next = () => new Promise((resolve) => child.once("message", resolve))
  await next()
  const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
  const offered = next()
  child.send({ id: session.id, key: Buffer.from(session.key).toString("hex") })
  const { address, remote } = await offered
  const endpoint = await open()
  const target = hostMemory.map(poolBytes, "lab-bench-target")
  target.view(0, poolBytes).fill(1)
  await endpoint.register(0, target, both)
  const connection = await endpoint.connect(session, address, {
    deadline: performance.now() + 10_000,
    peerHost: "127.0.0.1",
  })

  const large = openRaw(device, 1, 2 * poolBytes, 128)
  rawReads(large, blockBytes, 32, 500)
  const taken = []
  // By turns: the machine is not the same from one second to the next.
  for (let i = 0; i < rounds; i++) {
    const job = await postMany(endpoint, connection, remote, kvPlan(), 3)
    const perftest = await readBandwidth()
    const bare = (rawReads(large, blockBytes, 32, 300) * blockBytes) / 2 ** 20
    const again = (await postMany(endpoint, connection, remote, samePlacePlan(), 3)).mebibytesPerSecond
    taken.push({ ...job, perftest, bare, again })
  }
  if (target.view(0, poolBytes).some((byte) => byte !== 7)) throw new Error("bytes differ")
  const kv = taken.toSorted((a, b) => a.millis - b.millis)[Math.floor(rounds / 2)]
  const over = (value) => median(taken.map(value))
  const raw = openRaw(device, 1, 2 ** 20, 64)
  rawReads(raw, 8, 32, 200)
  const [bare, ours] = [[], []]
  for (let i = 0; i < rounds; i++) {
    bare.push(rawReads(raw, 8, 32, 300))
    ours.push((await postMany(endpoint, connection, remote, smallPlan(16_384), 5)).requestsPerSecond)
  }
  const small = await postMany(endpoint, connection, remote, smallPlan(16_384), rounds)
  const single = await postMany(endpoint, connection, remote, smallPlan(32), 200)
  const result = {
    kv: {
      ...kv,
      perftest: over(({ perftest }) => perftest),
      bare: over(({ bare }) => bare),
      again: over(({ again }) => again),
      ratio: over(({ mebibytesPerSecond, perftest }) => mebibytesPerSecond / perftest),
      bareRatio: over(({ mebibytesPerSecond, bare }) => mebibytesPerSecond / bare),
      againRatio: over(({ again, perftest }) => again / perftest),
    },
    eightBytes: {
      ...small,
      requestsPerSecond: median(ours),
      bareRequestsPerSecond: median(bare),
      ratio: median(ours.map((rate, i) => rate / bare[i])),
    },
    oneBatchOf32: { millis: single.millis, requestsPerSecond: single.requestsPerSecond },
  }
  if (process.argv.includes("--json")) console.log(JSON.stringify(result))
  else print(result)
  await connection[Symbol.asyncDispose]()
  await endpoint[Symbol.asyncDispose]()
  child.disconnect()
  process.exit(0)
}

/** Blocks of a shuffled table into slots in order, layer by layer: no two pieces lie side by side. */
function kvPlan() {
  const builder = new PlanBuilder(blocks * layers)
  const layerBytes = blocks * blockBytes
  for (let layer = 0; layer < layers; layer++) {
    for (let block = 0; block < blocks; block++) {
      const from = layer * layerBytes + ((block * 61 + 7) % blocks) * blockBytes
      builder.add(1, from, 0, layer * layerBytes + block * blockBytes, blockBytes, 0)
    }
  }
  return builder.finish()
}

/** As much as the job from one place to one place. No agent makes such a plan: its pieces overwrite each other. */
function samePlacePlan() {
  const builder = new PlanBuilder(blocks * layers)
  for (let i = 0; i < blocks * layers; i++) builder.add(1, 0, 0, 0, blockBytes, 0)
  return builder.finish()
}

function smallPlan(count) {
  const builder = new PlanBuilder(count)
  for (let i = 0; i < count; i++) builder.add(1, i * 64, 0, i * 32, 8, 0)
  return builder.finish()
}

async function postMany(endpoint, connection, remote, plan, times) {
  const prepared = connection.prepare({ direction: "read", plan, remote: [remote] })
  const deadline = performance.now() + 120_000
  await prepared.post({ deadline })
  const [before] = endpoint.railCounts()
  const cpu = process.cpuUsage()
  const millis = []
  for (let i = 0; i < times; i++) {
    const start = performance.now()
    await prepared.post({ deadline })
    millis.push(performance.now() - start)
  }
  const spent = process.cpuUsage(cpu)
  const [after] = endpoint.railCounts()
  await prepared[Symbol.asyncDispose]()
  const requests = after.requests - before.requests
  return {
    millis: median(millis),
    mebibytesPerSecond: plan.bytes / 2 ** 20 / (median(millis) / 1000),
    requestsPerSecond: plan.pieces / (median(millis) / 1000),
    requestsPerCall: requests / (after.doorbells - before.doorbells),
    looksPerCall: (after.looks - before.looks) / (after.doorbells - before.doorbells),
    parks: after.parks - before.parks,
    processorMicrosPerRequest: (spent.user + spent.system) / requests,
  }
}

/** perftest's bandwidth of READs of 64 KiB between two processes on the device, in MiB/s. */
async function readBandwidth() {
  const words = ["-d", device, "-x", "1", "-s", "65536", "-n", "1000", "-F"]
  const server = spawn("ib_read_bw", words, { stdio: "ignore" })
  await new Promise((resolve) => setTimeout(resolve, 500))
  const printed = execFileSync("ib_read_bw", [...words, "127.0.0.1"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  })
  await new Promise((resolve) => (server.exitCode === null ? server.once("exit", resolve) : resolve()))
  const line = printed.split("\n").find((text) => /^\s*65536\s/.test(text))
  return Number(line?.trim().split(/\s+/)[3])
}

function print({ kv, eightBytes, oneBatchOf32 }) {
  const round = (value, digits = 0) => value.toFixed(digits)
  const counts = (of) =>
    `${round(of.requestsPerCall, 1)} requests a call, ${round(of.looksPerCall, 2)} looks a call, ${of.parks} parks, ${round(of.processorMicrosPerRequest, 1)} µs of processor a request`
  console.log(
    `KV job, READ ${blocks} x ${layers} x ${blockBytes} B: ${round(kv.millis, 1)} ms, ${round(kv.mebibytesPerSecond)} MiB/s`,
  )
  console.log(`  ib_read_bw ${round(kv.perftest)} MiB/s, ratio ${round(kv.ratio, 2)}`)
  console.log(
    `  bare loop over as many places ${round(kv.bare)} MiB/s, ratio ${round(kv.bareRatio, 2)}; ours over one place ${round(kv.again)} MiB/s, ratio to ib_read_bw ${round(kv.againRatio, 2)}`,
  )
  console.log(`  ${counts(kv)}`)
  console.log(
    `READs of 8 B: ${round(eightBytes.requestsPerSecond)}/s; bare loop by 32: ${round(eightBytes.bareRequestsPerSecond)}/s; ratio ${round(eightBytes.ratio, 2)}`,
  )
  console.log(`  ${counts(eightBytes)}`)
  console.log(
    `one post of 32 READs of 8 B, there and back over two threads: ${round(oneBatchOf32.millis * 1000)} µs`,
  )
}
