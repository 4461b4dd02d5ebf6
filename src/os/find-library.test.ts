import assert from "node:assert/strict"
import { test } from "node:test"
import { efaPresence } from "./efa-presence.ts"
import { findLibrary } from "./find-library.ts"
import { readRdmaDevices } from "./rdma-devices.ts"
import { treeOf } from "./recorded-tree.test.kit.ts"

const name = "libfabric.so.1"
const cache = [
  "glibc-ld.so.cache1.1",
  "libfabric.so.1",
  "/opt/amazon/efa/lib64/libfabric.so.1",
  "libx.so.1",
  "",
]

test("a library is found in LD_LIBRARY_PATH first, then in the loader's cache, then in its last folders", () => {
  const files = {
    "/etc/ld.so.cache": cache.join("\0"),
    "/home/me/lib/libfabric.so.1": "",
    "/usr/lib/libfabric.so.1": "",
  }
  const file = (tree: Readonly<Record<string, string>>, path = ""): string | undefined =>
    findLibrary(name, treeOf({ files: tree }), path).file
  assert.equal(file(files, "/home/me/lib"), "/home/me/lib/libfabric.so.1")
  assert.equal(file(files, "/elsewhere:relative"), "/opt/amazon/efa/lib64/libfabric.so.1")
  assert.equal(file({ "/usr/lib/libfabric.so.1": "" }), "/usr/lib/libfabric.so.1")
})

test("a library that is not there is said so, with where it was looked for", () => {
  const tree = treeOf({ files: { "/etc/ld.so.cache": "libfabric.so.1.bak\0/x/notlibfabric.so.1\0" } })
  const { file, where } = findLibrary(name, tree, "/home/me/lib")
  assert.equal(file, undefined)
  assert.match(where, /^LD_LIBRARY_PATH, \/etc\/ld\.so\.cache, /)
})

test("this machine's own C library is found, under the name of its file", () => {
  const { file } = findLibrary("libc.so.6")
  assert.match(file ?? "", /libc[.-].*so/)
})

const pci = "/sys/bus/pci/devices/0000:31:00.0"
const efa = {
  files: {
    [`${pci}/vendor`]: "0x1d0f",
    [`${pci}/device`]: "0xefa1",
    "/sys/bus/pci/devices/0000:00:05.0/vendor": "0x1d0f",
    "/sys/bus/pci/devices/0000:00:05.0/device": "0xec20",
    "/sys/module/efa/refcnt": "0",
    "/sys/class/infiniband/rdmap49s0/node_type": "7: unspecified",
    "/etc/libibverbs.d/efa.driver": "driver efa",
    "/opt/amazon/efa/lib64/libfabric.so.1": "",
  },
  links: { "/sys/class/infiniband/rdmap49s0/device/driver": "efa" },
}

test("EFA: what is there, and for each thing where it was looked for", () => {
  const tree = treeOf(efa)
  const facts = efaPresence(readRdmaDevices(tree), tree)
  assert.ok(facts.every(({ found }) => found))
  assert.deepEqual(
    facts.slice(0, 3).map(({ detail }) => detail),
    ["0000:31:00.0", "loaded", "rdmap49s0"],
  )
  const none = efaPresence([], treeOf({ files: {} }))
  assert.ok(none.every(({ found, where }) => !found && where.startsWith("/")))
})

test("many functions are counted, not listed", () => {
  const files = Object.fromEntries(
    Array.from({ length: 32 }, (_, i) => `/sys/bus/pci/devices/0000:${i + 10}:00.0`).flatMap((folder) => [
      [`${folder}/vendor`, "0x1d0f"],
      [`${folder}/device`, "0xefa1"],
    ]),
  )
  assert.match(efaPresence([], treeOf({ files }))[0]!.detail, /, 0000:17:00\.0 and 24 more$/)
})
