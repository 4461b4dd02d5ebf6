import assert from "node:assert/strict"
import { test } from "node:test"
import { FewAtOnce } from "./few-at-once.ts"
import { delivered } from "./in-memory.test.kit.ts"

test("so many run at a time and no more, in their order, also when one fails", async () => {
  const few = new FewAtOnce(2)
  const begun: number[] = []
  const finish: ((error?: Error) => void)[] = []
  const results = [0, 1, 2, 3].map((number) =>
    few.run(
      () =>
        new Promise<number>((resolve, reject) => {
          begun.push(number)
          finish[number] = (error) => (error === undefined ? resolve(number) : reject(error))
        }),
    ),
  )
  await delivered()
  assert.deepEqual(begun, [0, 1])
  finish[1]!(new Error("no"))
  await assert.rejects(results[1]!, /no/)
  await delivered()
  assert.deepEqual(begun, [0, 1, 2])
  for (const number of [0, 2]) finish[number]!()
  await delivered()
  finish[3]!()
  assert.deepEqual(await Promise.all([results[0], results[2], results[3]]), [0, 2, 3])
})
