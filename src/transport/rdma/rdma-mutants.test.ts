/**
 * Mistakes of NICs and engines that were seen in the field, planted into the fabric on paper: the contract suite must find each.
 *
 * This file runs itself: a child with a mistake in its environment runs cases of the suite, and some must fail in it.
 */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { transportContract } from "../contract.ts"
import { PaperFabric } from "./paper-fabric.test.kit.ts"
import type { PaperMistake, PaperTraits } from "./paper-world.test.kit.ts"
import { rdmaTransport } from "./rdma-transport.ts"

const variable = "KVFERRY_PAPER_MISTAKE"
const cases = "moves every byte|thousands of small|several rails|the key of a closed region"

/** The suite's cases that failed in a process whose NIC makes this mistake. */
function failedWith(mistake: PaperMistake | "none"): string[] {
  const environment: NodeJS.ProcessEnv = { ...process.env, [variable]: mistake }
  // A child of the test runner would answer in the runner's own format.
  delete environment["NODE_TEST_CONTEXT"]
  const file = fileURLToPath(import.meta.url)
  const args = ["--test-reporter=tap", `--test-name-pattern=${cases}`, file]
  const { stdout, status } = spawnSync(process.execPath, args, { env: environment, encoding: "utf8" })
  const failed = [...stdout.matchAll(/^not ok \d+ - (?:paper: )?(.*)$/gm)].map(([, name]) => name!)
  const passed = [...stdout.matchAll(/^ok \d+ - paper: (?!.*# SKIP)/gm)].length
  assert.ok(failed.length + passed >= 4, `the cases ran:\n${stdout.slice(0, 2000)}`)
  assert.equal(status === 0, failed.length === 0)
  return failed
}

const expected: readonly [PaperMistake, string, string][] = [
  [
    "base address",
    "the first bug of NIXL 0.6.1: each piece is read from the start of its region",
    "thousands of small pieces in any order land where they belong",
  ],
  [
    "key of the local rail",
    "the second bug of NIXL 0.6.1: the remote key is chosen by the number of the local rail",
    "several rails carry a striped plan, also when the two sides have unequal numbers",
  ],
  [
    "early read",
    "a read is reported before its bytes are there",
    "a read moves every byte of its plan and no other",
  ],
  [
    "early answer",
    "a notice is answered before the writes in front of it are visible",
    "a write moves every byte of its plan and no other",
  ],
]

const planted = process.env[variable]
if (planted === undefined) {
  test("without a mistake the suite passes, in whatever order bytes land", () => {
    assert.deepEqual(failedWith("none"), [])
  })
  for (const [mistake, words, victim] of expected) {
    test(`the suite finds it: ${words}`, () => {
      const failed = failedWith(mistake)
      assert.ok(failed.includes(victim), `failed: ${failed.join("; ")}`)
    })
  }
} else {
  const traits: PaperTraits = { ordered: true, writesAreVisible: false }
  const fabric = new PaperFabric(
    planted === "none" ? traits : { ...traits, mistake: planted as PaperMistake },
  )
  transportContract(rdmaTransport(fabric.driver, { sliceBytes: 65536 }), {}, "paper")
}
