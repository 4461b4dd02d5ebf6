import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, afterEach, before, test } from "node:test"
import { installPeer } from "./install-peer.ts"
import { installedPeers } from "./peer-store.ts"

// Wheels of our own under the names of real ones, in a folder that pip is told to take instead of an index: no network.
const folder = mkdtempSync(join(tmpdir(), "kvferry-install-"))
const wheels = join(folder, "wheels")
const root = join(folder, "peers")

const wheelWriter = `
import sys, zipfile
folder, name, version, module, text = sys.argv[1:]
file = name.replace("-", "_")
with zipfile.ZipFile("%s/%s-%s-py3-none-any.whl" % (folder, file, version), "w") as wheel:
    info = "%s-%s.dist-info/" % (file, version)
    wheel.writestr(module, text)
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (name, version))
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(info + "RECORD", "")
`

const engine = `
class TransferEngine:
    def initialize(self, host, metadata, protocol, device):
        return 0
    get_rpc_port = batch_register_memory = batch_unregister_memory = batch_transfer_sync = initialize
class TransferOpcode:
    pass
`

function wheel(name: string, version: string, module: string, text: string): void {
  const { status, stderr } = spawnSync("python3", ["-c", wheelWriter, wheels, name, version, module, text])
  assert.equal(status, 0, String(stderr))
}

const probe = spawnSync("python3", ["-c", "import venv, ensurepip"])
const skip = probe.status === 0 ? false : "no python3 that can make an environment"

before(() => {
  if (skip !== false) return
  mkdirSync(wheels)
  const mooncake = "mooncake-transfer-engine-non-cuda"
  wheel("numpy", "1.0", "numpy.py", "")
  wheel(mooncake, "0.1.0", "mooncake/engine.py", engine)
  wheel(mooncake, "0.2.0", "mooncake/engine.py", engine)
  wheel(mooncake, "0.0.9", "mooncake/engine.py", "import ctypes; ctypes.CDLL('libnowhere.so.3')")
  process.env["PIP_NO_INDEX"] = "1"
  process.env["PIP_FIND_LINKS"] = wheels
  process.env["PIP_USER"] = "1"
})
after(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => rmSync(root, { recursive: true, force: true }))

const silent = { update() {}, end() {} }
const options = { python: "python3", progress: silent, root }
const left = (): string[] => (existsSync(root) ? readdirSync(root) : [])

test("the newest is installed when no version is named, and once", { skip }, async () => {
  const first = await installPeer({ family: "mooncake" }, options)
  assert.equal(first.already, false)
  assert.deepEqual(first.paths[0], { path: "tcp", usable: true })
  assert.deepEqual(first.peer.packages, ["mooncake-transfer-engine-non-cuda==0.2.0", "numpy==1.0"])
  assert.ok(first.peer.bytes > 0)
  const again = await installPeer({ family: "mooncake", version: "0.2" }, options)
  assert.equal(again.already, true)
  assert.deepEqual(left(), ["mooncake-0.2.0"])
})

test("two that install the same one at once harm nobody: both have it", { skip }, async () => {
  const spec = { family: "mooncake", version: "0.1.0" } as const
  const both = await Promise.all([installPeer(spec, options), installPeer(spec, options)])
  assert.deepEqual(
    both.map(({ peer }) => peer.version),
    ["0.1.0", "0.1.0"],
  )
  assert.equal(both.filter(({ already }) => already).length, 1)
  assert.deepEqual(left(), ["mooncake-0.1.0"])
})

test("a version that does not exist is named, with those that do", { skip }, async () => {
  await assert.rejects(installPeer({ family: "mooncake", version: "9.9" }, options), {
    code: "KV_USAGE",
    why: /0\.1\.0, 0\.2\.0/,
  })
  assert.deepEqual(left(), [])
})

test("an engine that does not load is not installed, and the library that it misses is named", {
  skip,
}, async () => {
  await assert.rejects(installPeer({ family: "mooncake", version: "0.0.9" }, options), {
    code: "KV_TRANSPORT_UNAVAILABLE",
    why: /libnowhere\.so\.3/,
  })
  assert.deepEqual(left(), [])
})

for (const moment of ["making an environment", "unpacking"]) {
  test(`interrupted while it is ${moment}: nothing is left half made`, { skip }, async () => {
    const controller = new AbortController()
    const progress = {
      update(label: string) {
        if (label.startsWith(moment)) controller.abort()
      },
      end() {},
    }
    const { signal } = controller
    const spec = { family: "mooncake", version: "0.1.0" } as const
    await assert.rejects(installPeer(spec, { ...options, progress, signal }), { code: "KV_CANCELLED" })
    assert.deepEqual(left(), [])
    assert.deepEqual(installedPeers(root), [])
  })
}

test("without a Python it is said what to install", async () => {
  await assert.rejects(installPeer({ family: "nixl" }, { ...options, python: join(folder, "no-python") }), {
    code: "KV_OS",
    next: /apt-get install python3/,
  })
})

test("a folder that cannot be written is named", { skip }, async () => {
  const inFile = join(process.execPath, "peers")
  await assert.rejects(installPeer({ family: "nixl" }, { ...options, root: inFile }), {
    code: "KV_OS",
    what: /cannot be written/,
  })
})
