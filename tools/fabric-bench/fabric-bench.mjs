/**
 * What kvferry gets out of libfabric, beside a C program's loop over the same pieces and the same library.
 *
 *   npm run build && node tools/fabric-bench/fabric-bench.mjs [provider=tcp] [rounds=6]
 *
 * The two take turns, a round of each after the other, so that a busy machine slows both. Printed per job: the medians,
 * the ratio of the rounds' medians with its range, and the processor time of the reading process per request. The C
 * program never sleeps; kvferry does.
 * Needs a C compiler and libfabric's headers for the C side.
 */
import { execFileSync, fork } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const dist = new URL("../../dist/", import.meta.url)
const { createLibfabric } = await import(new URL("transport/libfabric/libfabric.js", dist))
const { defaultRdmaSettings } = await import(new URL("config/rdma-settings.js", dist))
const { hostMemory } = await import(new URL("os/host-memory.js", dist))
const { PlanBuilder } = await import(new URL("plan/transfer-plan.js", dist))

const [provider = "tcp", rounds = "6", role] = process.argv.slice(2)
const jobs = [
  { pieces: 1024, bytes: 65536, repeats: 10 },
  { pieces: 6400, bytes: 4096, repeats: 10 },
  { pieces: 20, bytes: 65536, repeats: 100 },
]
const poolBytes = Math.max(...jobs.map(({ pieces, bytes }) => pieces * bytes * 2))
const both = { read: true, write: true }
const transport = createLibfabric({ rdma: { ...defaultRdmaSettings, fabricProviders: [provider] } })
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const wordsOf = (span) => {
  const view = span.view(0, poolBytes)
  return new Uint32Array(view.buffer, view.byteOffset, poolBytes / 4)
}

if (role === "serve") await serve()
else await measure()

async function serve() {
  const endpoint = await transport.open({ host: "127.0.0.1", rails: 1 })
  const span = hostMemory.map(poolBytes, "fabric-bench")
  const words = wordsOf(span)
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 2654435761)
  const remote = await endpoint.register(1, span, both)
  process.on("message", async ({ id, key }) => {
    await endpoint.admit({ id, key: Buffer.from(key, "hex") }, both)
    process.send({ address: endpoint.address, remote })
  })
  process.on("disconnect", () => process.exit(0))
}

async function measure() {
  const child = fork(fileURLToPath(import.meta.url), [provider, rounds, "serve"])
  const folder = mkdtempSync(join(tmpdir(), "kvferry-fabric-"))
  try {
    const loop = join(folder, "fabric-loop")
    const source = fileURLToPath(new URL("./fabric-loop.c", import.meta.url))
    execFileSync(process.env.CC ?? "cc", ["-O2", "-o", loop, source, "-lfabric"], { stdio: "inherit" })
    const session = { id: randomBytes(16).toString("hex"), key: randomBytes(32) }
    const offer = new Promise((resolve) => child.once("message", resolve))
    child.send({ id: session.id, key: session.key.toString("hex") })
    const { address, remote } = await offer
    const endpoint = await transport.open({ host: "127.0.0.1", rails: 1 })
    const span = hostMemory.map(poolBytes, "fabric-bench")
    await endpoint.register(2, span, both)
    const options = { deadline: performance.now() + 20_000, peerHost: "127.0.0.1" }
    const connection = await endpoint.connect(session, address, options)
    for (const job of jobs) await compare(job, connection, remote, span, loop)
    await connection[Symbol.asyncDispose]()
    await endpoint[Symbol.asyncDispose]()
  } finally {
    child.kill("SIGKILL")
    rmSync(folder, { recursive: true })
  }
}

async function compare({ pieces, bytes, repeats }, connection, remote, span, loop) {
  const plan = new PlanBuilder(pieces)
  for (let i = 0; i < pieces; i++) {
    const at = ((i * 7919) % pieces) * 2 * bytes
    plan.add(1, at, 2, at, bytes, 0)
  }
  const move = connection.prepare({ direction: "read", plan: plan.finish(), remote: [remote] })
  const post = () => move.post({ deadline: performance.now() + 60_000 })
  const words = wordsOf(span).fill(0)
  await post()
  for (let piece = 0; piece < pieces; piece++) {
    const first = (piece * 2 * bytes) / 4
    for (let i = first; i < first + bytes / 4; i++) {
      if (words[i] !== Math.imul(i, 2654435761) >>> 0) throw new Error(`word ${i} is wrong`)
    }
  }
  const ratios = []
  const [ours, theirs] = [[], []]
  let [cpuMicros, cCpuMillis] = [0, 0]
  for (let round = 0; round < Number(rounds); round++) {
    const c = execFileSync(loop, [provider, pieces, bytes, repeats], { encoding: "utf8", timeout: 120_000 })
    const cTimes = c
      .trim()
      .split("\n")
      .map((line) => line.split(" ").map(Number))
    const cMillis = cTimes.map(([wall]) => wall)
    cCpuMillis += cTimes.reduce((sum, [, busy]) => sum + busy, 0)
    const own = []
    const cpu = process.cpuUsage()
    for (let i = 0; i < repeats; i++) {
      const start = performance.now()
      await post()
      own.push(performance.now() - start)
    }
    const { user, system } = process.cpuUsage(cpu)
    cpuMicros += user + system
    ratios.push(median(cMillis) / median(own))
    ours.push(...own)
    theirs.push(...cMillis)
  }
  await move[Symbol.asyncDispose]()
  const rate = (millis) => ((pieces * bytes) / millis / 1e6).toFixed(2)
  const requests = Number(rounds) * repeats * pieces
  process.stdout.write(
    `${provider}, ${pieces} x ${bytes} B: kvferry ${median(ours).toFixed(2)} ms (${rate(median(ours))} GB/s, best ${rate(Math.min(...ours))}), ` +
      `C ${median(theirs).toFixed(2)} ms (${rate(median(theirs))} GB/s, best ${rate(Math.min(...theirs))}); ` +
      `${median(ratios).toFixed(2)} of C (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}), ` +
      `processor per request ${(cpuMicros / requests).toFixed(2)} us, C ${((cCpuMillis * 1000) / requests).toFixed(2)} us\n`,
  )
}
