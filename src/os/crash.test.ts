import assert from "node:assert/strict"
import { test } from "node:test"
import { runInChild } from "./child.test.kit.ts"

/** Runs a script that prints one JSON document and must end by itself. */
async function printed(script: string): Promise<unknown> {
  const { code, signal, stdout, stderr } = await runInChild(script)
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr)
  return JSON.parse(stdout)
}

test("every wrong number for a span is an error, while it is open and after it is closed", async () => {
  const codes = await printed(`
    const { hostMemory } = await ours("os/host-memory.js")
    const size = 2 ** 20
    const span = hostMemory.map(size, "bounds")
    const wrong = [NaN, -1, 0.5, 2 ** 60, -(2 ** 60), Infinity, -Infinity, size + 1, 2 ** 53, undefined, "8", null, 8n]
    const codes = {}
    const attempt = (call) => {
      try { call(); codes.accepted = (codes.accepted ?? 0) + 1 }
      catch (error) { codes[error.code ?? String(error)] = (codes[error.code ?? String(error)] ?? 0) + 1 }
    }
    const all = () => {
      for (const bad of wrong) {
        for (const name of ["addressOf", "view"]) {
          attempt(() => span[name](bad, 1))
          attempt(() => span[name](0, bad))
          attempt(() => span[name](bad, bad))
        }
      }
      attempt(() => span.view(size, 1))
      attempt(() => span.view(size - 10, 11))
    }
    all()
    span[Symbol.dispose]()
    all()
    for (const name of ["addressOf", "view"]) for (const length of [0, 1, size]) attempt(() => span[name](0, length))
    attempt(() => span.share())
    console.log(JSON.stringify(codes))
  `)
  assert.deepEqual(codes, { KV_REGION_BOUNDS: 2 * (13 * 6 + 2) + 6 + 1 })
})

test("a copy between spans with wrong numbers is an error and copies nothing", async () => {
  const result = await printed(`
    const { hostMemory } = await ours("os/host-memory.js")
    const { copyBytes } = await ours("os/copy.js")
    const [a, b] = [hostMemory.map(4096, "a"), hostMemory.map(4096, "b")]
    a.view(0, 4096).fill(7)
    let refused = 0
    const cases = [[0, 1, 4096], [1, 0, 4096], [0, 0, 4097], [-1, 0, 8], [0, NaN, 8], [0, 0, NaN], [0, 0, 2 ** 60], [0, 0, -8]]
    for (const [from, to, length] of cases) {
      try { copyBytes(a, from, b, to, length) } catch (error) { if (error.code === "KV_REGION_BOUNDS") refused += 1 }
    }
    b[Symbol.dispose]()
    try { copyBytes(a, 0, b, 0, 8) } catch (error) { if (error.code === "KV_REGION_BOUNDS") refused += 1 }
    console.log(JSON.stringify({ refused, of: cases.length + 1 }))
  `)
  assert.deepEqual(result, { refused: 9, of: 9 })
})

test("a view of more than 2 GiB is refused, and smaller ones show the same bytes wherever they are cut", async () => {
  const result = await printed(`
    const { hostMemory } = await ours("os/host-memory.js")
    const gib = 2 ** 30
    const span = hostMemory.map(3 * gib, "large")
    let code
    try { span.view(0, 2 * gib + 1) } catch (error) { code = error.code }
    // The third does not lie in one of the cached windows.
    const starts = [[0, 2 * gib], [gib, 2 * gib], [gib / 2, 2 * gib], [gib + 5, gib], [2 * gib - 3, 10], [3 * gib - 1, 1], [3 * gib, 0]]
    const views = starts.map(([start, length]) => span.view(start, length))
    let mismatches = 0
    const places = [0, gib / 2, gib + 5, 2 * gib - 1, 2 * gib, 2 * gib + 1, 3 * gib - 1]
    for (const [i, place] of places.entries()) {
      const writer = starts.findIndex(([start, length]) => place >= start && place < start + length)
      views[writer][place - starts[writer][0]] = i + 1
      starts.forEach(([start, length], reader) => {
        if (place >= start && place < start + length && views[reader][place - start] !== i + 1) mismatches += 1
      })
    }
    const lengths = views.map((view) => view.length)
    span[Symbol.dispose]()
    let left = 0
    for (const place of places) {
      starts.forEach(([start, length], reader) => {
        if (place >= start && place < start + length) left += views[reader][place - start]
      })
    }
    console.log(JSON.stringify({ code, mismatches, lengths, left }))
  `)
  const gib = 2 ** 30
  assert.deepEqual(result, {
    code: "KV_LIMIT",
    mismatches: 0,
    lengths: [2 * gib, 2 * gib, 2 * gib, gib, 10, 1, 0],
    left: 0,
  })
})

test("a view that is no window of its span still reads zeros when the span is closed, not a crash", async () => {
  const result = await printed(`
    const { hostMemory } = await ours("os/host-memory.js")
    const gib = 2 ** 30
    const span = hostMemory.map(3 * gib, "odd")
    const view = span.view(gib / 2, 2 * gib)
    view[0] = 1
    view[2 * gib - 1] = 2
    span[Symbol.dispose]()
    console.log(JSON.stringify([view[0], view[2 * gib - 1]]))
  `)
  assert.deepEqual(result, [0, 0])
})

test("views stay readable and writable after their mapping is closed: they show zeros, and nobody else sees them", async () => {
  const result = await printed(`
    const { hostMemory } = await ours("os/host-memory.js")
    const span = hostMemory.map(4 * 2 ** 20, "closed")
    const view = span.view(12, 3 * 2 ** 20)
    view.fill(9)
    span[Symbol.dispose]()
    span[Symbol.dispose]()
    const zeros = view.every((byte) => byte === 0)
    view.fill(3)
    const next = hostMemory.map(4 * 2 ** 20, "next")
    const clean = next.view(0, next.byteLength).every((byte) => byte === 0)
    console.log(JSON.stringify({ zeros, clean }))
  `)
  assert.deepEqual(result, { zeros: true, clean: true })
})

test("a thread that still looks at a span which its owner closed sees zeros, not a crash", async () => {
  const result = await printed(`
    const { Worker } = await import("node:worker_threads")
    const { hostMemory } = await ours("os/host-memory.js")
    const span = hostMemory.map(2 ** 20, "shared")
    const code = \`
      import { parentPort, workerData } from "node:worker_threads"
      const { adoptSpan } = await import(${JSON.stringify(new URL("./memory-span.js", import.meta.url).href)})
      const view = adoptSpan(workerData).view(0, 2 ** 20)
      view[0] = 5
      parentPort.postMessage(view[0])
      parentPort.once("message", () => parentPort.postMessage(view[0] + view[2 ** 20 - 1]))
    \`
    const url = new URL("data:text/javascript," + encodeURIComponent(code))
    const thread = new Worker(url, { workerData: span.share() })
    const heard = () => new Promise((resolve) => thread.once("message", resolve))
    const before = await heard()
    span[Symbol.dispose]()
    thread.postMessage("look")
    console.log(JSON.stringify([before, await heard()]))
  `)
  assert.deepEqual(result, [5, 0])
})

test("a mapping of a size that makes no sense, or that the machine does not have, is an error", async () => {
  const result = await printed(`
    const { hostMemory } = await ours("os/host-memory.js")
    const codes = [NaN, -1, 0, 0.5, 2 ** 60, Infinity, Number.MAX_SAFE_INTEGER].map((size) => {
      try { hostMemory.map(size, "size"); return "mapped" } catch (error) { return error.code }
    })
    console.log(JSON.stringify(codes))
  `)
  assert.deepEqual(result, Array(7).fill("KV_OS"))
})
