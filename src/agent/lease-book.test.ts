import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { KvError } from "../errors/kv-error.ts"
import { FakeClock } from "./in-memory.test.kit.ts"
import { LeaseBook, type LeaseEnd } from "./lease-book.ts"

const isUnknown = (error: unknown): boolean => error instanceof KvError && error.code === "KV_LEASE_UNKNOWN"

function lendIn(book: LeaseBook, lifetimeMillis = 100): { readonly id: string; readonly ends: LeaseEnd[] } {
  const ends: LeaseEnd[] = []
  const onEnd = (why: LeaseEnd): void => void ends.push(why)
  return { id: book.lend({ blocks: Uint32Array.of(1), tokens: 5, lifetimeMillis, onEnd }).id, ends }
}

test("a lease that is released ends once, and its time passes unheard", () => {
  const clock = new FakeClock()
  const book = new LeaseBook(clock)
  const { id, ends } = lendIn(book)
  assert.equal(book.claim(id, "a").tokens, 5)
  assert.equal(book.end(id, "released"), true)
  assert.equal(book.end(id, "released"), false)
  clock.advance(1000)
  assert.deepEqual(ends, ["released"])
  assert.deepEqual([book.size, clock.waiting], [0, 0])
})

test("a lease expires at its time and not before, also when somebody holds it", () => {
  const clock = new FakeClock()
  const book = new LeaseBook(clock)
  const { id, ends } = lendIn(book)
  book.claim(id, "a")
  clock.advance(99)
  assert.deepEqual(ends, [])
  assert.equal(book.claim(id, "a").id, id)
  clock.advance(1)
  assert.deepEqual(ends, ["expired"])
  assert.throws(() => book.claim(id, "a"), isUnknown)
})

test("the death of a holder ends its leases and nobody else's", () => {
  const book = new LeaseBook(new FakeClock())
  const [first, second, third, unclaimed] = [lendIn(book), lendIn(book), lendIn(book), lendIn(book)]
  book.claim(first.id, "a")
  book.claim(second.id, "b")
  book.claim(third.id, "a")
  book.endAllOf("a", "peer lost")
  assert.deepEqual(
    [first.ends, second.ends, third.ends, unclaimed.ends],
    [["peer lost"], [], ["peer lost"], []],
  )
  book.endAll("withdrawn")
  assert.deepEqual(
    [first.ends, second.ends, third.ends, unclaimed.ends],
    [["peer lost"], ["withdrawn"], ["peer lost"], ["withdrawn"]],
  )
})

test("a lease belongs to the first who claims it; an id that never was is refused alike", () => {
  const book = new LeaseBook(new FakeClock())
  const { id } = lendIn(book)
  book.claim(id, "a")
  assert.throws(() => book.claim(id, "b"), isUnknown)
  assert.throws(() => book.claim("00".repeat(16), "a"), isUnknown)
  assert.equal(book.claim(id, "a").holder, "a")
})

test("ids are 16 random bytes: knowing one tells nothing of the next", () => {
  const book = new LeaseBook(new FakeClock())
  const ids = new Set(Array.from({ length: 100 }, () => lendIn(book).id))
  assert.equal(ids.size, 100)
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/)
})

test("whatever happens in whatever order, every lease ends exactly once", () => {
  const steps = fc.array(
    fc.record({
      kind: fc.constantFrom("lend", "claim", "end", "death", "time"),
      lease: fc.nat(),
      holder: fc.nat({ max: 2 }),
    }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(steps, (list) => {
      const clock = new FakeClock()
      const book = new LeaseBook(clock)
      const lent: { readonly id: string; readonly ends: LeaseEnd[] }[] = []
      for (const { kind, lease, holder } of list) {
        const one = lent[lease % Math.max(1, lent.length)]
        if (kind === "lend") lent.push(lendIn(book, 1 + (lease % 50)))
        else if (kind === "time") clock.advance(lease % 20)
        else if (kind === "death") book.endAllOf(String(holder), "peer lost")
        else if (one !== undefined && kind === "end") {
          const open = one.ends.length === 0
          assert.equal(book.end(one.id, "released"), open)
        } else if (one !== undefined && kind === "claim" && one.ends.length === 0) {
          try {
            book.claim(one.id, String(holder))
          } catch (thrown) {
            assert.ok(isUnknown(thrown))
          }
        }
        assert.equal(book.size, lent.filter(({ ends }) => ends.length === 0).length)
      }
      book.endAll("withdrawn")
      for (const { ends } of lent) assert.equal(ends.length, 1)
      assert.equal(clock.waiting, 0)
    }),
  )
})
