import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { pipError, readPipLine } from "./pip-output.ts"

test("readPipLine() reads what pip has written since 2020", () => {
  assert.deepEqual(readPipLine("Collecting nixl==0.6.1"), { kind: "asks", what: "nixl==0.6.1" })
  assert.deepEqual(readPipLine("  Downloading https://files.example/a/nixl-0.6.1-cp311.whl (23.4 MB)"), {
    kind: "downloads",
    what: "nixl-0.6.1-cp311.whl",
    bytes: 23.4e6,
  })
  assert.deepEqual(readPipLine("Downloading nixl-1.5.1-py3-none-any.whl (12 kB)"), {
    kind: "downloads",
    what: "nixl-1.5.1-py3-none-any.whl",
    bytes: 12_000,
  })
  assert.deepEqual(readPipLine("  Using cached numpy-2.4.6.whl.metadata (62 kB)"), {
    kind: "cached",
    what: "numpy-2.4.6.whl.metadata",
  })
  assert.deepEqual(readPipLine("Installing collected packages: numpy, nixl"), { kind: "installs" })
  assert.equal(readPipLine("Looking in indexes: https://user:secret@index.example"), undefined)
})

test("a line that would move the cursor is harmless", () => {
  assert.deepEqual(readPipLine("Collecting \u001b[2Jnixl"), { kind: "asks", what: "\\u{1b}[2Jnixl" })
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const step = readPipLine(`Collecting ${text}`)
      assert.ok(step === undefined || (step.kind === "asks" && !/\p{C}/u.test(step.what)))
    }),
  )
})

const cases = [
  {
    output:
      "ERROR: Could not find a version that satisfies the requirement nixl==9.9 (from versions: 0.6.1, 1.5.1)\nERROR: No matching distribution found for nixl==9.9",
    code: "KV_USAGE",
    says: /0\.6\.1, 1\.5\.1/,
  },
  {
    output:
      "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError: Temporary failure in name resolution': /simple/nixl/\nERROR: Could not find a version that satisfies the requirement nixl (from versions: none)",
    code: "KV_PEER_UNREACHABLE",
    says: /name resolution/,
  },
  {
    output: "ERROR: Could not find a version that satisfies the requirement nixl (from versions: none)",
    code: "KV_USAGE",
    says: /for this Python/,
  },
  {
    output: "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
    code: "KV_OS",
    says: /no space is left in \/cache/,
  },
  { output: "Traceback\nERROR: something \u001b[31mnew", code: "KV_OS", says: /something \\u\{1b\}/ },
  { output: "", code: "KV_OS", says: /did not say why/ },
]

test("pipError() tells a missing version from a missing network and a full disk", () => {
  for (const { output, code, says } of cases) {
    const error = pipError("nixl==9.9", output, "/cache")
    assert.equal(error.code, code, output)
    assert.match(error.message, says)
  }
})
