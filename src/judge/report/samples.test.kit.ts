import type { MachineFacts } from "../../bench/machine.ts"
import type { LoadDocument, LoadResult } from "../load-document.ts"
import type { CaseResult, EngineResult, Finding, VerifyDocument } from "../verify-document.ts"

const machine: MachineFacts = {
  cpuModel: "AMD EPYC 9R14",
  cores: 2,
  caches: "L1 32K + 32K, L2 1024K, L3 32768K",
  memoryBytes: 24_685_776_896,
  kernel: "6.1.0-28-amd64",
  node: "20.20.2",
  platform: "linux x64",
  virtual: "a virtual machine",
  hugePages: "madvise",
  sharedMemoryHugePages: "never",
}

const suites: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  shapes: [
    ["one-block", "one block"],
    ["random-blocks", "12 random blocks of each layer"],
    ["unaligned", "pieces at odd offsets"],
    ["odd-tail", "pieces that end one byte before and after a page"],
    ["many", "4,096 pieces in one transfer"],
  ],
  pairs: [
    ["two-to-one", "two sources, one target"],
    ["swapped", "the same pair, the other way round"],
  ],
  heads: [
    ["2-to-4", "2 ranks read by 4"],
    ["4-to-1", "4 ranks read by 1"],
  ],
  faults: [
    ["peer-killed", "the source is killed half-way"],
    ["peer-stopped", "the source is stopped, and goes on"],
    ["region-gone", "a region is taken back before the read"],
  ],
  load: [["engine-like", "block tables change while transfers are in flight"]],
  receipts: [["bytes-claimed", "the receipt's bytes are those that moved"]],
}

type Judge = (suite: string, name: string) => Pick<CaseResult, "verdict" | "why" | "finding">

function casesOf(judge: Judge): CaseResult[] {
  return Object.entries(suites).flatMap(([suite, cases]) =>
    cases.map(([name, title], i) => ({
      id: `${suite}/${name}`,
      suite,
      title,
      millis: 40 + 17 * i,
      bytesChecked: 3 * 64 * 65536,
      ...judge(suite, name),
    })),
  )
}

/** A finding as the real nixl 0.6.1 makes it: every block that was asked for holds the region's base. */
export const baseAddressFinding: Finding = {
  kind: "wrong-bytes",
  cause: "base-address",
  text: "36 of 36 blocks are wrong although the transfer was reported as done: target layer 0 block 5 holds layer 0 block 0 of the source. The base address of the region was read.",
  first: {
    agent: "decode",
    layer: 0,
    block: 5,
    offset: 327_680,
    expected: "layer 0 block 41 word 0 epoch 1 of prefill",
    found: "layer 0 block 0 word 0 epoch 1 of prefill",
  },
  wrongBytes: 36 * 65536,
  maps: [
    { agent: "decode", layer: 0, blocks: mapOf(64, { b: [5, 9, 12, 13, 20, 28, 31, 40, 44, 51, 58, 63] }) },
    { agent: "decode", layer: 1, blocks: mapOf(64, { b: [5, 9, 12, 13, 20, 28], z: [31, 40], o: [44, 51] }) },
    {
      agent: "decode",
      layer: 2,
      blocks: mapOf(160, { x: [5], s: [9], p: [12, 13], "?": [20], "!": [150], o: [28] }),
    },
  ],
  log: "W1121 02:53:45 libfabric_backend.cpp:412] provider sockets\nW1121 02:53:45 post 36 descriptors\nI1121 02:53:46 notification delivered",
}

function mapOf(blocks: number, holds: Readonly<Record<string, readonly number[]>>): string {
  const map = Array.from({ length: blocks }, () => ".")
  for (const [letter, places] of Object.entries(holds)) for (const place of places) map[place] = letter
  return map.join("")
}

const ferry: EngineResult = {
  engine: "kvferry",
  version: "0.1.0",
  about: "kvferry 0.1.0 over shm, 2 threads",
  libraries: [],
  cases: casesOf(() => ({ verdict: "passed" })),
}

const newest: EngineResult = {
  engine: "nixl:UCX",
  version: "1.5.1",
  about: "nixl 1.5.1, backend UCX (UCX 1.23.0), no progress thread",
  libraries: ["/root/.cache/kvferry/peers/nixl-1.5.1/lib/libucp.so.0", "/usr/lib/libnixl.so"],
  cases: casesOf((suite, name) => {
    if (suite === "heads") return { verdict: "not supported", why: "the engine knows no heads" }
    if (suite === "receipts") return { verdict: "not supported", why: "the engine writes no receipts" }
    if (name === "peer-stopped") {
      return {
        verdict: "failed",
        finding: {
          kind: "hang",
          text: "the transfer was still pending 15.0 s after its deadline of 2.0 s had passed; the source had been stopped at byte 1,048,576",
          log: "ucp_worker.c:1857 UCX INFO  rma_am(tcp/lo) am(cma/memory)",
        },
      }
    }
    return { verdict: "passed" }
  }),
}

const old: EngineResult = {
  engine: "nixl==0.6.1:LIBFABRIC",
  version: "0.6.1",
  about: "nixl 0.6.1, backend LIBFABRIC (libfabric 2.3, provider sockets)",
  libraries: ["/root/.cache/kvferry/peers/nixl-0.6.1/lib/libfabric.so.1"],
  cases: casesOf((suite, name) => {
    if (suite === "heads") return { verdict: "not supported", why: "the engine knows no heads" }
    if (suite === "receipts") return { verdict: "not supported", why: "the engine writes no receipts" }
    if (suite === "faults" && name !== "region-gone") {
      return {
        verdict: "failed",
        finding: { kind: "crash", text: "the source's process ended with SIGABRT" },
      }
    }
    if (name === "one-block" || suite === "faults") return { verdict: "passed" }
    return { verdict: "failed", finding: baseAddressFinding }
  }),
}

const absent: EngineResult = {
  engine: "mooncake:tcp",
  unavailable: "mooncake-transfer-engine is not installed: kvferry peers install mooncake",
  cases: casesOf(() => ({
    verdict: "not supported",
    why: "mooncake-transfer-engine is not installed: kvferry peers install mooncake",
  })),
}

/** Four engines: one right, one that hangs once, one that reads wrong places, one that is not there. */
export function sampleVerify(): VerifyDocument {
  return {
    schema: "kvferry/verify/1",
    software: "0.1.0",
    startedAt: "2026-11-21T02:53:45.120Z",
    tookMillis: 41_300,
    seed: 42,
    machine,
    evidence: "hardware",
    interrupted: false,
    engines: [ferry, newest, old, absent],
    verdict: "failed",
  }
}

/** The same run with nothing but kvferry in it: everything passed. */
export function samplePassed(): VerifyDocument {
  return { ...sampleVerify(), engines: [ferry], verdict: "passed", tookMillis: 4_120 }
}

/** A rate with the times that belong to it: 419 MB in each round. */
function loadResult(
  engine: string,
  gigabytes: number,
  more: Partial<LoadResult> & Pick<LoadResult, "role" | "about" | "version">,
): LoadResult {
  const micros = (jobBytes / gigabytes) * 1e-3
  const wave = [1, 1.04, 0.98, 1.11, 0.97, 1.02, 1.31, 0.99, 1.01, 1.05, 0.96, 1]
  return {
    engine,
    verdict: "identical",
    microsByRound: wave.map((factor, round) =>
      Math.round(micros * factor * (1 + ((round * gigabytes) % 0.07))),
    ),
    latency: {
      p50: micros,
      p90: micros * 1.12,
      p99: micros * 1.4,
      p999: micros * 2.1,
      max: micros * 2.2,
    },
    bytesPerSecond: { median: gigabytes * 1e9, low: gigabytes * 0.93e9, high: gigabytes * 1.06e9 },
    ratio: {
      median: gigabytes / ferryRate,
      low: (gigabytes / ferryRate) * 0.92,
      high: (gigabytes / ferryRate) * 1.07,
    },
    cpuSecondsPerGb: 0.62 / gigabytes,
    residentBytes: { source: 641 * 2 ** 20, target: 655 * 2 ** 20 },
    micros: { open: 21_400, register: 812, connect: 2_310, prepare: 1_490 },
    hash: "9c1e44a07d20b5f3",
    loggingOn: false,
    ...more,
  }
}

const jobBytes = 419_430_400
const ferryRate = 16.4

/** Ceiling, kvferry over two paths, three peers of which one moved wrong bytes and one left, with a matrix and a comparison. */
export function sampleLoad(): LoadDocument {
  return {
    schema: "kvferry/load/1",
    software: "0.1.0",
    startedAt: "2026-11-21T03:10:02.004Z",
    tookMillis: 94_700,
    machine,
    evidence: "hardware",
    shape: {
      op: "read",
      blockBytes: 65_536,
      blocks: 128,
      numBlocks: 600,
      layers: 50,
      randomBlocks: true,
      seed: 42,
      threads: 1,
      batch: 1,
      prefillEngines: 1,
      decodeEngines: 1,
      prefillTp: 1,
      decodeTp: 1,
      strategy: "pack",
      integrity: "full",
      bytes: jobBytes,
    },
    notes: [
      "--num-blocks 3750 was scaled down to 600: 12.3 GB a side, and 9.1 GB are free",
      "another process kept 0.4 cores busy: compare within this run",
    ],
    rounds: 12,
    interrupted: false,
    loadAverage1MinuteBefore: 0.31,
    results: [
      loadResult("memcpy", 18.1, {
        role: "ceiling",
        about: "one thread copies within one process",
        version: "glibc 2.36",
        cpuSecondsPerGb: 0.055,
      }),
      loadResult("kvferry", ferryRate, {
        role: "kvferry",
        about: "kvferry 0.1.0 over shm",
        version: "0.1.0",
        receipt: { bytes: jobBytes, path: "shm", rails: [{ rail: "0", bytes: jobBytes }], integrity: "full" },
      }),
      loadResult("kvferry:tcp", 4.9, {
        role: "kvferry",
        about: "kvferry 0.1.0 over tcp, 2 streams",
        version: "0.1.0",
        receipt: {
          bytes: jobBytes,
          path: "tcp",
          rails: [
            { rail: "0", bytes: 209_846_272 },
            { rail: "1", bytes: jobBytes - 209_846_272 },
          ],
          integrity: "full",
        },
      }),
      loadResult("nixl:UCX", 5.6, {
        role: "peer",
        about: "nixl 1.5.1, UCX 1.23.0",
        version: "1.5.1",
        loggingOn: true,
      }),
      loadResult("nixl==0.6.1:LIBFABRIC", 1.08, {
        role: "peer",
        about: "nixl 0.6.1, libfabric 2.3",
        version: "0.6.1",
        verdict: "different",
        why: "6,400 of 6,400 blocks are wrong: the base address of the region was read",
        hash: "0000badbadbad000",
      }),
      loadResult("mooncake:tcp", 1.92, {
        role: "peer",
        about: "mooncake 0.3.13.post1, tcp",
        version: "0.3.13.post1",
        verdict: "failed",
        why: "rc -1 in round 4: TCP lane queue-full rejection",
        microsByRound: [218_000, 219_500, 221_000, ...Array.from({ length: 9 }, () => null)],
      }),
    ],
    matrix: ["nic0", "nic1", "nic2"].flatMap((from, i) =>
      ["nic0", "nic1", "nic2"].map((to, j) => ({
        from,
        to,
        engine: "kvferry",
        ...(i === 2 && j === 1
          ? { verdict: "different" as const, why: "layer 0 block 3 differs", bytesPerSecond: 4.4e9 }
          : {
              verdict: "identical" as const,
              bytesPerSecond: i === 1 && j === 2 ? 1.9e9 : (4.6 + 0.1 * i) * 1e9,
            }),
      })),
    ),
    comparison: [
      {
        engine: "kvferry",
        before: 0.889,
        now: 0.906,
        verdict: "same",
        why: "shares of memcpy: a change of -1.2 % to +3.9 % (95 %)",
      },
      {
        engine: "nixl:UCX",
        before: 0.381,
        now: 0.309,
        verdict: "slower",
        why: "19 % below, the noise is 4 %",
      },
    ],
    verdict: "different",
  }
}
