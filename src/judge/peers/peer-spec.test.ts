import assert from "node:assert/strict"
import { test } from "node:test"
import { compareVersions, parsePeerSpec, peerName } from "./peer-spec.ts"
import { requirements } from "./requirements.ts"

test("parsePeerSpec() reads a name, with a version or without", () => {
  assert.deepEqual(parsePeerSpec("nixl"), { family: "nixl" })
  assert.deepEqual(parsePeerSpec("mooncake==0.3.13.post1"), { family: "mooncake", version: "0.3.13.post1" })
  assert.equal(peerName(parsePeerSpec("nixl==0.6.1")), "nixl==0.6.1")
  assert.equal(peerName(parsePeerSpec("NIXL==0.6.1")), "nixl==0.6.1")
})

test("what could be an option, a path or another package is no peer", () => {
  for (const text of [
    "",
    "kvferry",
    "torch",
    "nixl==",
    "nixl>=1",
    "--all",
    "nixl==1;rm",
    "nixl==../x",
    "nixl==1/2",
    "nixl:UCX",
  ])
    assert.throws(() => parsePeerSpec(text), /is no peer/, text)
})

test("versions are ordered by their numbers", () => {
  const ordered = ["0.6.1", "0.7.0", "0.7.1", "0.10.0", "1.0.0rc1", "1.0.0", "1.0.0.post1", "1.5.1"]
  ordered.forEach((one, i) => {
    ordered.forEach((other, j) => {
      assert.equal(Math.sign(compareVersions(one, other)), Math.sign(i - j), `${one} and ${other}`)
    })
  })
  assert.equal(compareVersions("1.5", "1.5.0"), 0)
})

test("NIXL's engine is a package of its own since 0.7.1, of the same version", () => {
  const names = (version: string): string[] =>
    requirements.nixl.companions(version).map(({ name, version: pinned }) => `${name} ${pinned ?? "newest"}`)
  assert.ok(!names("0.7.0").some((name) => name.startsWith("nixl")))
  assert.ok(names("0.7.1").includes("nixl-cu12 0.7.1"))
  assert.ok(names("1.5.1").includes("nixl-cu12 1.5.1"))
  assert.ok(!names("1.5.1").some((name) => name.startsWith("torch")))
})

test("a provider of libfabric is chosen for LIBFABRIC alone", () => {
  assert.equal(requirements.nixl.environment("0.6.1", "LIBFABRIC")["FI_PROVIDER"], "sockets")
  assert.equal(requirements.nixl.environment("1.5.1", "LIBFABRIC")["FI_PROVIDER"], "tcp")
  assert.equal(requirements.nixl.environment("1.5.1", "UCX")["FI_PROVIDER"], undefined)
})
