import assert from "node:assert/strict"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { driverStart, unlessSet } from "./driver-start.ts"
import { whatHelps } from "./find-peer.ts"
import {
  brokenFolders,
  discard,
  type InstalledPeer,
  installedPeer,
  installedPeers,
  makingFolder,
  peerFolder,
  peersFolder,
  sweep,
  writeManifest,
} from "./peer-store.ts"

let root = ""
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "kvferry-peers-"))
})
afterEach(() => rmSync(root, { recursive: true }))

const facts = (version: string): Omit<InstalledPeer, "folder"> => ({
  family: "nixl",
  version,
  installedAt: "2026-01-01T00:00:00.000Z",
  python: "3.11.7",
  packages: [`nixl==${version}`],
  bytes: 1,
  site: "venv/lib/python3.11/site-packages",
})

function put(version: string): string {
  const folder = peerFolder(root, "nixl", version)
  mkdirSync(folder)
  writeManifest(folder, facts(version))
  return folder
}

test("the folder follows XDG_CACHE_HOME, and ignores a relative one", () => {
  assert.equal(peersFolder({ XDG_CACHE_HOME: "/somewhere" }), "/somewhere/kvferry/peers")
  assert.match(peersFolder({ XDG_CACHE_HOME: "here" }), /\/\.cache\/kvferry\/peers$/)
  assert.match(peersFolder({}), /\/\.cache\/kvferry\/peers$/)
})

test("the newest one comes first, and a version is found by its number", () => {
  for (const version of ["0.9.0", "1.5.1", "0.10.1"]) put(version)
  assert.deepEqual(
    installedPeers(root).map(({ version }) => version),
    ["1.5.1", "0.10.1", "0.9.0"],
  )
  assert.equal(installedPeer({ family: "nixl" }, root)?.version, "1.5.1")
  assert.equal(installedPeer({ family: "nixl", version: "0.9" }, root)?.version, "0.9.0")
  assert.equal(installedPeer({ family: "nixl", version: "0.9.1" }, root), undefined)
  assert.equal(installedPeer({ family: "mooncake" }, root), undefined)
})

test("what is half made, damaged, or says that it is another is never taken for a peer", () => {
  makingFolder(root)
  mkdirSync(peerFolder(root, "nixl", "1.0.0"))
  const renamed = peerFolder(root, "nixl", "1.1.0")
  mkdirSync(renamed)
  writeManifest(renamed, facts("1.2.0"))
  const outside = put("1.3.0")
  writeManifest(outside, { ...facts("1.3.0"), site: "venv/../../../etc" })
  const notJson = put("1.4.0")
  writeFileSync(join(notJson, "peer.json"), "{")
  assert.deepEqual(installedPeers(root), [])
  assert.equal(brokenFolders(root).length, 4)
  assert.deepEqual(installedPeers(join(root, "absent")), [])
})

test("what dead processes have left half made is swept, and what living ones work at stays", () => {
  const mine = makingFolder(root)
  // The largest number that Linux gives to no process.
  const left = join(root, ".making-4194305-00ff")
  mkdirSync(left)
  sweep(root)
  assert.ok(existsSync(mine) && !existsSync(left))
  assert.ok(discard(root, mine))
  assert.equal(discard(root, mine), false)
  assert.deepEqual(readdirSync(root), [])
})

test("a driver is started apart from the user's own Python, with the libraries that the peer brings", () => {
  const peer = installedPeer({ family: "nixl" }, put("0.6.1") && root)!
  const { python, args, env } = driverStart(peer, { path: "LIBFABRIC", libfabric: "/opt/libfabric.so.1" }, {})
  assert.equal(python, join(peer.folder, "venv/bin/python"))
  assert.deepEqual(args.slice(0, 3), ["-E", "-s", "-B"])
  assert.match(args[3]!, /tools\/engines\/nixl_driver\.py$/)
  assert.ok(args.some((arg) => arg.startsWith("libcudart.so.12=")))
  assert.deepEqual(args.slice(-2), ["--load", "/opt/libfabric.so.1"])
  assert.equal(env["FI_PROVIDER"], "sockets")
  assert.ok(!args.some((arg) => arg.startsWith("libcuda.so.1=")), "no stand-in was written for this one")
})

test("what the user has set in the environment is not set again", () => {
  assert.deepEqual(unlessSet({ FI_PROVIDER: "tcp", NIXL_LOG_LEVEL: "ERROR" }, { FI_PROVIDER: "efa" }), {
    NIXL_LOG_LEVEL: "ERROR",
  })
})

test("whatHelps() knows the libraries that engines miss", () => {
  assert.match(whatHelps("libhwloc.so.15: cannot open shared object file: No such file"), /libhwloc15/)
  assert.match(whatHelps("version `FABRIC_1.10' not found (required by x)"), /KVFERRY_LIBFABRIC/)
  assert.match(whatHelps("libfabric.so.1: cannot open shared object file"), /KVFERRY_LIBFABRIC/)
  assert.match(whatHelps("libnuma.so.1: cannot open shared object file: No such"), /install libnuma1/)
  assert.match(whatHelps("libother.so.2: cannot open shared object file: No such"), /install libother$/)
  assert.equal(whatHelps("something else"), "")
})
