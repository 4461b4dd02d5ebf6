/** Loads of some kilobytes, so that the bench does not rot. No time is judged here. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { styleFor } from "../../terminal/style.ts"
import { benchTiny, liars, resultOf } from "./load.test.kit.ts"
import { loadLines } from "./load-lines.ts"

const limit = { timeout: 120_000 }
const style = styleFor({ isTTY: false }, {})

test(
  "a tiny load is verified, measured in pairs, and moved the same bytes for everybody",
  limit,
  async () => {
    const { document } = await benchTiny({ engines: ["kvferry:shm", "kvferry:tcp", "memcpy"] })
    assert.equal(document.verdict, "identical")
    assert.equal(document.interrupted, false)
    assert.deepEqual(
      document.results.map(({ engine }) => engine),
      ["memcpy", "kvferry:shm", "kvferry:tcp"],
    )
    for (const { microsByRound, latency, bytesPerSecond, ratio, hash, engine } of document.results) {
      assert.equal(microsByRound.length, 3)
      assert.ok(
        microsByRound.every((micros) => micros !== null && micros > 0),
        engine,
      )
      assert.ok(
        latency!.p50 <= latency!.p90 && latency!.p99 <= latency!.p999 && latency!.p999 <= latency!.max,
      )
      assert.ok(
        bytesPerSecond!.low <= bytesPerSecond!.median && bytesPerSecond!.median <= bytesPerSecond!.high,
      )
      assert.ok(ratio!.median > 0)
      assert.match(hash!, /^[0-9a-f]{16}$/)
      assert.equal(hash, document.results[0]!.hash)
    }
    const shm = resultOf(document, "kvferry:shm")
    assert.equal(shm.receipt?.path, "shm")
    assert.equal(shm.receipt?.bytes, 3 * 2 * 4096)
    assert.deepEqual(shm.ratio, { median: 1, low: 1, high: 1 })
    assert.ok(shm.micros!.register > 0 && shm.residentBytes!.target > 0)
    const text = loadLines(document, style).join("\n")
    assert.match(text, /3 blocks × 2 layers × 4.00 KiB: 24.0 KiB a round, read/)
    assert.match(text, /GB\/s .*Gb\/s .*× kvferry:shm .*p99\.9 .*CPU s\/GB/)
    assert.ok(text.includes(`hash ${shm.hash}: every byte right, memcpy, kvferry:shm, kvferry:tcp`))
  },
)

test(
  "writes, several engines a side, ranks, batches and hashes all move what they should",
  limit,
  async () => {
    for (const flags of [
      { op: "write", engines: ["kvferry:shm", "memcpy"] },
      { prefillEngines: 2, decodeEngines: 1, batch: 2, randomBlocks: true },
      { prefillTp: 1, decodeTp: 2 },
      { integrity: "full" },
      { paths: ["tcp"], threads: 2 },
    ] as const) {
      const { document } = await benchTiny({ ...flags, rounds: 2 })
      assert.equal(document.verdict, "identical", JSON.stringify([flags, document.results]))
    }
  },
)

test("no rate takes more processors than there are, also where many post at once", limit, async () => {
  // Long enough for each to lose its processor to the others again and again.
  const flags = { decodeEngines: 6, blockBytes: 65_536, blocks: 10, numBlocks: 80, duration: 1.5 }
  const { document } = await benchTiny({ ...flags, engines: ["kvferry:shm", "memcpy"] })
  for (const { engine, bytesPerSecond, cpuSecondsPerGb } of document.results) {
    const processors = (bytesPerSecond!.median / 1e9) * cpuSecondsPerGb!
    assert.ok(processors < 1.5 * document.machine.cores, `${engine}: ${processors} processors`)
  }
  assert.match(
    resultOf(document, "memcpy").about,
    document.machine.cores > 1 ? /one or \d+ threads/ : /one thread/,
  )
})

test("one that moves wrong bytes has no rate, and is told what they are", limit, async () => {
  for (const [lie, words] of [
    ["zeros", /zeros/],
    ["base-address", /base address|base of/],
    ["other-layer", /layer/],
    // This one is right while it is looked at before the run. The run that is timed is looked at, too.
    ["first-content", /older|stale|epoch|earlier/],
  ] as const) {
    const { document, wrong } = await benchTiny({}, { placement: liars(lie) })
    const result = resultOf(document, "kvferry")
    assert.equal(document.verdict, "different", lie)
    assert.equal(result.verdict, "different", lie)
    assert.equal(result.bytesPerSecond, undefined)
    assert.equal(result.ratio, undefined)
    assert.ok(result.microsByRound.every((micros) => micros === null))
    assert.match(result.why!, words)
    assert.equal(wrong?.engine, "kvferry")
    assert.equal(wrong?.agent, "decode-0")
    assert.notDeepEqual(wrong?.expected, wrong?.found)
    assert.match(loadLines(document, style).join("\n"), /WRONG BYTES, no rate is told/)
    assert.equal(resultOf(document, "memcpy").verdict, "identical", "the ceiling goes on without it")
  }
})

test("the lying driver without a lie is acquitted", limit, async () => {
  const { document } = await benchTiny({}, { placement: liars("honest") })
  assert.equal(document.verdict, "identical", JSON.stringify(document.results))
})

test("one that writes where nothing was to be written is found out", limit, async () => {
  for (const lie of ["overrun", "writes-source"]) {
    const { document } = await benchTiny({}, { placement: liars(lie) })
    assert.equal(resultOf(document, "kvferry").verdict, "different", lie)
  }
})

test("one that dies in mid-run leaves what it has, and the others go on", limit, async () => {
  let pid = 0
  const { document } = await benchTiny(
    { engines: ["kvferry:shm", "kvferry:cma", "memcpy"], rounds: 4 },
    {
      placement: {
        ...liars("honest"),
        start: async (spec, ...rest) => {
          const { onThisMachine } = await import("./open-engines.ts")
          const agent = await onThisMachine.start(spec, ...rest)
          if (spec.name === "kvferry:cma" && "pid" in agent) pid = Number(agent.pid)
          return agent
        },
      },
      onStep: (label) => {
        if (label.startsWith("round 3 of 4: kvferry:cma")) process.kill(pid, "SIGKILL")
      },
    },
  )
  const dead = resultOf(document, "kvferry:cma")
  assert.equal(document.verdict, "failed")
  assert.equal(dead.verdict, "failed")
  assert.match(dead.why!, /after 2 whole rounds: /)
  assert.equal(dead.microsByRound.filter((micros) => micros !== null).length, 2)
  assert.equal(dead.bytesPerSecond, undefined)
  assert.equal(resultOf(document, "kvferry:shm").verdict, "identical")
  assert.equal(resultOf(document, "memcpy").microsByRound.length, 4)
  assert.match(
    loadLines(document, style).join("\n"),
    /kvferry:cma: failed: after 2 whole rounds.*; PARTIAL: [\d.]+ GB\/s in 2 whole rounds/,
  )
})

test("when no engine is left, the ceiling is not measured to its end", limit, async () => {
  let pid = 0
  const { document } = await benchTiny(
    { rounds: 50 },
    {
      placement: {
        ...liars("honest"),
        start: async (...all) => {
          const agent = await liars("honest").start(...all)
          if ("pid" in agent) pid = Number(agent.pid)
          return agent
        },
      },
      onStep: (label) => {
        if (label.startsWith("round 2 of 50: kvferry")) process.kill(pid, "SIGKILL")
      },
    },
  )
  assert.match(resultOf(document, "kvferry").why!, /after 1 whole round: /)
  const { microsByRound, hash } = resultOf(document, "memcpy")
  assert.ok(microsByRound.length <= 3, `${microsByRound.length} rounds`)
  assert.ok(hash, "what it moved is looked at all the same")
})

test("an abort leaves what there is, as partial", limit, async () => {
  const controller = new AbortController()
  const { document } = await benchTiny(
    { rounds: 50 },
    {
      signal: controller.signal,
      onStep: (label) => {
        if (label.startsWith("round 3 of 50")) controller.abort()
      },
    },
  )
  assert.equal(document.interrupted, true)
  assert.ok(resultOf(document, "kvferry").bytesPerSecond!.median > 0)
  assert.match(loadLines(document, style).join("\n"), /PARTIAL: interrupted, [23] of 50 rounds/)
})

test("an abort before anything has run leaves a document without results", limit, async () => {
  const controller = new AbortController()
  const { document } = await benchTiny({}, { signal: controller.signal, onStep: () => controller.abort() })
  assert.equal(document.interrupted, true)
  assert.ok(document.results.every(({ bytesPerSecond }) => bytesPerSecond === undefined))
})

test(
  "an engine that is not there is told with its reason, and a pool too large is scaled down",
  limit,
  async () => {
    const { document } = await benchTiny(
      { engines: ["kvferry", "nixl==0.0.0:UCX", "memcpy"], numBlocks: 100_000 },
      { available: 1.5 * 2 ** 30 },
    )
    assert.equal(document.verdict, "failed")
    assert.match(resultOf(document, "nixl==0.0.0:UCX").why!, /nixl/)
    assert.equal(resultOf(document, "kvferry").verdict, "identical")
    assert.ok(document.shape.numBlocks < 100_000)
    assert.match(document.notes.join("\n"), /blocks in place of 100000/)
  },
)

test("logging is not on unnoticed", limit, async () => {
  const { document } = await benchTiny({ verbose: true, rounds: 1 }, { placement: liars("honest") })
  assert.ok(document.results.every(({ loggingOn }) => loggingOn))
  assert.match(loadLines(document, style).join("\n"), /logging was on: do not compare/)
})
