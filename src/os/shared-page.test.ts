import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { hostMemory } from "./host-memory.ts"
import { SharedPage, sharedPageWords } from "./shared-page.ts"

test("what its maker writes on a page is read by whoever was given the file", () => {
  using made = SharedPage.create("test")
  using read = SharedPage.adopt(made.fd!, "a test")
  made.words[0] = 5
  Atomics.store(made.words, sharedPageWords - 1, 6)
  assert.equal(read.words[0], 5)
  assert.equal(Atomics.load(read.words, sharedPageWords - 1), 6)
  assert.equal(read.fd, undefined)
})

test("a page that was given back shows the words of nobody, and its place serves the next one", () => {
  const first = SharedPage.create("test")
  const { words } = first
  words[3] = 9
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  using second = SharedPage.create("test")
  assert.equal(second.words, words)
  assert.equal(words[3], 0)
})

test("a thousand pages, one after the other, leave no mapping behind", () => {
  const mappings = (): number => readFileSync("/proc/self/maps", "utf8").split("\n").length
  const round = (): void => {
    using made = SharedPage.create("test")
    using read = SharedPage.adopt(made.fd!, "a test")
    made.words[1] = 1
    assert.equal(read.words[1], 1)
  }
  for (let i = 0; i < 50; i++) round()
  const before = mappings()
  for (let i = 0; i < 1000; i++) round()
  // One left by each would be a thousand and more; those of the engine's own heap come and go meanwhile.
  assert.ok(mappings() <= before + 200, `${mappings()} mappings, ${before} before`)
})

test("a file that is no page of ours is not adopted", () => {
  using other = hostMemory.map(4096, "short", { populate: true })
  assert.throws(() => SharedPage.adopt(other.fd, "a test"), /its size is not sealed/)
})
