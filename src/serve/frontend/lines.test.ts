import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { LineTooLong, readLines } from "./lines.ts"

async function* chunksOf(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

async function allLines(chunks: readonly Buffer[], maxBytes = 1000): Promise<string[]> {
  const all: string[] = []
  for await (const lines of readLines(chunksOf(chunks), maxBytes)) all.push(...lines)
  return all
}

test("lines are the same however the bytes are cut", async () => {
  const line = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\n", " "))
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.nat({ max: 200 })), async (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""))
      const edges = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
      const chunks = edges.slice(1).map((end, at) => bytes.subarray(edges[at], end))
      assert.deepEqual(await allLines(chunks, 1 << 20), lines)
    }),
    { numRuns: 50 },
  )
})

test("lines of one read come together, and a line that was cut off does not come", async () => {
  const reads: string[][] = []
  for await (const lines of readLines(chunksOf([Buffer.from("a\nb\nc"), Buffer.from("d\ne")]), 10))
    reads.push(lines)
  assert.deepEqual(reads, [["a", "b"], ["cd"]])
})

test("a line without an end does not fill the memory", async () => {
  const chunks = Array.from({ length: 5 }, () => Buffer.alloc(30, 120))
  await assert.rejects(allLines(chunks, 100), LineTooLong)
})
