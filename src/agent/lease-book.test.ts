import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { FakeClock } from "./in-memory.test.kit.ts"
import { LeaseBook } from "./lease-book.ts"
import type { LeaseEnd } from "./lease-state.ts"

const isUnknown = (error: unknown): boolean => error instanceof KvError && error.code === "KV_LEASE_UNKNOWN"
const times = { holdMillis: 30, holdMillisMax: 200 }

interface Rig {
  readonly clock: FakeClock
  readonly book: LeaseBook
  readonly fenced: { readonly holder: string; release(): void }[]
  lend(options?: { lifetimeMillis?: number; access?: "read" | "write" }): { id: string; ends: LeaseEnd[] }
}

let nextId = 0

function openBook(): Rig {
  const clock = new FakeClock()
  const fenced: { readonly holder: string; release(): void }[] = []
  const fence = (holder: string): Promise<boolean> =>
    new Promise((resolve) => void fenced.push({ holder, release: () => resolve(true) }))
  const book = new LeaseBook({ clock, times, fence })
  return {
    clock,
    book,
    fenced,
    lend: ({ lifetimeMillis = 100, access = "read" } = {}) => {
      const ends: LeaseEnd[] = []
      const id = String(nextId++).padStart(32, "0")
      const onEnd = (why: LeaseEnd): void => void ends.push(why)
      book.lend({ id, blocks: Uint32Array.of(1), tokens: 5, access, lifetimeMillis, onEnd })
      return { id, ends }
    },
  }
}

test("a lease that is released ends once, and its time passes unheard", () => {
  const { clock, book, lend } = openBook()
  const { id, ends } = lend()
  assert.equal(book.claim(id, "a").tokens, 5)
  book.release(id, "a")
  assert.throws(() => book.release(id, "a"), isUnknown)
  assert.equal(book.withdraw(id), false)
  clock.advance(1000)
  assert.deepEqual(ends, ["released"])
  assert.deepEqual([book.size, clock.waiting], [0, 0])
})

test("an offer that nobody claims expires at its time and not before", () => {
  const { clock, book, lend } = openBook()
  const { id, ends } = lend()
  clock.advance(99)
  assert.deepEqual(ends, [])
  clock.advance(1)
  assert.deepEqual(ends, ["expired"])
  assert.throws(() => book.claim(id, "a"), isUnknown)
})

test("a claimed lease lives as long as its holder is heard, and no longer than it may at all", () => {
  const { clock, book, lend } = openBook()
  const [kept, silent] = [lend(), lend()]
  book.claim(kept.id, "a")
  book.claim(silent.id, "b")
  for (let passed = 0; passed < 180; passed += 20) {
    clock.advance(20)
    assert.deepEqual(book.renew([kept.id], "a"), [])
  }
  assert.deepEqual([kept.ends, silent.ends], [[], ["expired"]])
  clock.advance(20)
  assert.deepEqual(kept.ends, ["expired"])
  assert.deepEqual(book.renew([kept.id, silent.id], "a"), [kept.id, silent.id])
})

test("nobody renews what another holds, or what is only offered", () => {
  const { book, lend } = openBook()
  const [held, offered] = [lend(), lend()]
  book.claim(held.id, "a")
  assert.deepEqual(book.renew([held.id, offered.id], "b"), [held.id, offered.id])
})

test("the death of a holder ends its leases and nobody else's", () => {
  const { book, lend } = openBook()
  const [first, second, third, unclaimed] = [lend(), lend(), lend(), lend()]
  book.claim(first.id, "a")
  book.claim(second.id, "b")
  book.claim(third.id, "a")
  book.loseAllOf("a")
  const ends = (): LeaseEnd[][] => [first.ends, second.ends, third.ends, unclaimed.ends]
  assert.deepEqual(ends(), [["peer lost"], [], ["peer lost"], []])
  book.withdrawAll()
  assert.deepEqual(ends(), [["peer lost"], ["withdrawn"], ["peer lost"], ["withdrawn"]])
})

test("a lease belongs to the first who claims it; an id that never was is refused alike", () => {
  const { book, lend } = openBook()
  const { id } = lend()
  assert.throws(() => book.held(id, "a"), isUnknown)
  book.claim(id, "a")
  assert.equal(book.held(id, "a").id, id)
  for (const stranger of [
    () => book.claim(id, "b"),
    () => book.held(id, "b"),
    () => book.release(id, "b"),
    () => book.land(id, "b"),
  ]) {
    assert.throws(stranger, isUnknown)
  }
  assert.throws(() => book.claim("f".repeat(32), "a"), isUnknown)
})

test("a reader's blocks come back at once; a writer's only when it has been fenced off", async () => {
  const { clock, book, fenced, lend } = openBook()
  const [reader, writer, withdrawn] = [lend(), lend({ access: "write" }), lend({ access: "write" })]
  book.claim(reader.id, "a")
  book.claim(writer.id, "b")
  book.claim(withdrawn.id, "c")
  book.withdraw(withdrawn.id)
  clock.advance(30)
  assert.deepEqual([reader.ends, writer.ends, withdrawn.ends], [["expired"], [], []])
  assert.throws(() => book.land(writer.id, "b"), isUnknown)
  assert.equal(book.size, 2)
  assert.deepEqual(
    fenced.map(({ holder }) => holder),
    ["c", "b"],
  )
  for (const { release } of fenced) release()
  await new Promise(setImmediate)
  assert.deepEqual([writer.ends, withdrawn.ends, book.size], [["expired"], ["withdrawn"], 0])
})

test("a write lease that has landed, or was never claimed, needs no fence", () => {
  const { clock, book, fenced, lend } = openBook()
  const [landed, offered] = [lend({ access: "write" }), lend({ access: "write" })]
  book.claim(landed.id, "a")
  book.land(landed.id, "a")
  clock.advance(1000)
  assert.deepEqual([landed.ends, offered.ends, fenced.length], [["landed"], ["expired"], 0])
})

test("a book has room for 65,536 leases", () => {
  const { book, lend } = openBook()
  for (let i = 0; i < 65_536; i++) lend()
  assert.throws(
    () => lend(),
    (error: unknown) => error instanceof KvError && error.code === "KV_LIMIT",
  )
  book.withdrawAll()
  assert.equal(book.size, 0)
})

test("whatever happens in whatever order, each lease ends exactly once and nothing is left behind", async () => {
  const step = fc.record({
    kind: fc.constantFrom("lend", "claim", "renew", "release", "land", "withdraw", "death", "time"),
    index: fc.nat(20),
    holder: fc.constantFrom("a", "b", "c"),
    write: fc.boolean(),
    millis: fc.nat(60),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const clock = new FakeClock()
      const book = new LeaseBook({ clock, times, fence: () => Promise.resolve(true) })
      const lent: { readonly id: string; ends: number }[] = []
      for (const { kind, index, holder, write, millis } of steps) {
        const one = lent[index % Math.max(1, lent.length)]
        try {
          if (kind === "lend") {
            const entry = { id: String(lent.length).padStart(32, "0"), ends: 0 }
            lent.push(entry)
            book.lend({
              id: entry.id,
              blocks: new Uint32Array(1),
              tokens: 1,
              access: write ? "write" : "read",
              lifetimeMillis: millis,
              onEnd: () => void entry.ends++,
            })
          } else if (kind === "time") clock.advance(millis)
          else if (kind === "death") book.loseAllOf(holder)
          else if (one === undefined) continue
          else if (kind === "claim") book.claim(one.id, holder)
          else if (kind === "renew") book.renew([one.id], holder)
          else if (kind === "release") book.release(one.id, holder)
          else if (kind === "land") book.land(one.id, holder)
          else book.withdraw(one.id)
        } catch (thrown) {
          if (!isUnknown(thrown)) throw thrown
        }
        for (const { ends } of lent) assert.ok(ends <= 1)
      }
      book.withdrawAll()
      clock.advance(1000)
      await new Promise<void>((resolve) => setImmediate(resolve))
      assert.deepEqual([book.size, clock.waiting], [0, 0])
      for (const { ends } of lent) assert.equal(ends, 1)
    }),
    { numRuns: 200 },
  )
})
