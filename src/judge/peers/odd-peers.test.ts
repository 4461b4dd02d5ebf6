import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { DriverProcess } from "../driver/driver-process.ts"
import type { CacheShape } from "../driver/protocol.ts"
import { checkPeer, driverFolder } from "./check-peer.ts"
import { findPeer } from "./find-peer.ts"
import type { PeerFamily } from "./peer-spec.ts"

// Engines that nobody has seen yet, as modules of a Python that the user names: whatever they do, it is said what, and it ends.
const folder = mkdtempSync(join(tmpdir(), "kvferry-odd-peers-"))
after(() => rmSync(folder, { recursive: true, force: true }))

const probe = spawnSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
const skip = probe.status === 0 ? false : "no python3 of 3.10 or newer"

/** An API that has all the driver calls, and whose backends are there. */
const wholeApi = `
class nixl_agent_config:
    def __init__(self, enable_prog_thread=True, backends=["UCX"]): pass
class nixl_agent:
    plugin_list = ["UCX", "POSIX"]
    def __init__(self, name, config): self.name = name
    def create_backend(self, backend, params):
        if backend != "UCX": raise KeyError(backend)
    def register_memory(self, rows, kind): return rows
    def get_agent_metadata(self): return b"card"
    def add_remote_agent(self, metadata): return b"other"
    def remove_remote_agent(self, agent): pass
    def get_xfer_descs(self, rows, kind): return rows
    def prep_xfer_dlist(self, agent, rows): return rows
    def make_prepped_xfer(self, *args): return 1
    def transfer(self, handle): return "DONE"
    def check_xfer_state(self, handle): return "DONE"
    def release_xfer_handle(self, handle): pass
    def release_dlist_handle(self, handle): pass
    def get_new_notifs(self): return {}
`

let made = 0

/** A Python in which the engine's module is `api`. */
function pythonWith(api: string, { version = "9.9.9", module = "nixl", file = "_api" } = {}): string {
  const site = join(folder, String(made++))
  mkdirSync(join(site, module), { recursive: true })
  writeFileSync(join(site, module, "__init__.py"), "")
  writeFileSync(join(site, module, `${file}.py`), api)
  // Whoever has no numpy gets a name for it: nothing here counts.
  writeFileSync(join(site, "numpy.py"), "")
  const info = join(site, `${module}-${version}.dist-info`)
  mkdirSync(info)
  writeFileSync(join(info, "METADATA"), `Metadata-Version: 2.1\nName: ${module}\nVersion: ${version}\n`)
  writeFileSync(join(info, "top_level.txt"), `${module}\n`)
  const python = join(site, "python")
  writeFileSync(python, `#!/bin/sh\nPYTHONPATH='${site}' exec python3 "$@"\n`)
  chmodSync(python, 0o755)
  return python
}

async function foundOf(api: string, path = "UCX", family: PeerFamily = "nixl"): Promise<string> {
  const found = await findPeer(family, undefined, { path, python: pythonWith(api) })
  return "unavailable" in found ? found.unavailable : found.about
}

test("a release of the future that has all that is called is driven", { skip }, async () => {
  assert.equal(await foundOf(wholeApi), "nixl 9.9.9, UCX")
  const other = await findPeer("nixl", "1.5.1", { path: "UCX", python: pythonWith(wholeApi) })
  assert.ok("unavailable" in other && /has nixl 9\.9\.9, not 1\.5\.1/.test(other.unavailable))
})

const odd: readonly (readonly [what: string, api: string, said: RegExp])[] = [
  [
    "lacks a call",
    wholeApi.replace("make_prepped_xfer", "make_transfer"),
    /has no make_prepped_xfer: this driver does not know/,
  ],
  ["lacks the agent", "class nixl_agent_config: pass", /has no nixl_agent: this driver/],
  [
    "raises while it is loaded",
    "raise RuntimeError('no GPU\\x1b[31m')",
    /does not load|loads: RuntimeError: no GPU/,
  ],
  ["misses a library", "import ctypes; ctypes.CDLL('libnowhere.so.3')", /libnowhere\.so\.3/],
  ["leaves the process", "import os; os._exit(3)", /ended with code 3, and no answer/],
  ["leaves it as Python does", "raise SystemExit(4)", /SystemExit: 4/],
  ["crashes", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", /was ended by SIGSEGV/],
  [
    "raises what is no Exception, and cannot say what",
    `${wholeApi}
class Odd(BaseException):
    def __str__(self): raise ValueError()
def refuse(*args): raise Odd()
nixl_agent.create_backend = refuse`,
    /Odd: it does not say/,
  ],
]

for (const [what, api, said] of odd) {
  test(`an engine that ${what} is not there, and it is said why`, { skip }, async () => {
    const text = await foundOf(api)
    assert.match(text, said)
    assert.ok(!/Traceback|\n/.test(text) && !text.includes("\u001b"), text)
  })
}

test("what an engine prints, and what it does at its end, disturbs nobody", { skip }, async () => {
  const loud = `
import atexit, os, signal, sys
print("{}"); sys.stdout.flush(); os.write(1, b"garbage\\n{\\"call\\": 1}\\n")
atexit.register(lambda: os.kill(os.getpid(), signal.SIGSEGV))
${wholeApi}`
  const python = pythonWith(loud)
  const found = await findPeer("nixl", undefined, { path: "UCX", python })
  assert.ok(!("unavailable" in found), JSON.stringify(found))
  const spec = { name: "nixl:UCX", family: "nixl", path: "UCX" } as const
  const driver = await DriverProcess.start({
    spec,
    command: found.python,
    args: found.args,
    env: found.env,
    about: "",
  })
  const opened = await driver.open({ name: "a", level: "pieces", cache, path: "UCX", options: {} })
  assert.equal(opened.version, "9.9.9")
  assert.ok(!opened.capabilities.includes("threads") && !opened.capabilities.includes("deregister"))
  assert.match(opened.reasons?.threads ?? "", /strict/)
  await driver[Symbol.asyncDispose]()
})

const cache: CacheShape = {
  layers: 1,
  blocks: 4,
  blockTokens: 4,
  kvHeads: 1,
  firstHead: 0,
  heads: 1,
  headDim: 64,
  elementBytes: 2,
}

test("an engine that never loads is given up", { skip }, async () => {
  const python = pythonWith("import time; time.sleep(100)")
  const start = { python, args: ["-B", join(driverFolder, "nixl_driver.py")], env: {} }
  assert.deepEqual(await checkPeer(start, undefined, 700), {
    error: "its driver had not loaded it after 0.7 s",
  })
})

test("a helper that an engine leaves behind, with its streams in hand, keeps nobody", {
  skip,
  timeout: 30_000,
}, async () => {
  const pidFile = join(folder, "helper.pid")
  const text = await foundOf(`
import os, time
if os.fork() == 0:
    os.setsid()
    open(${JSON.stringify(pidFile)}, "w").write(str(os.getpid()))
    time.sleep(100)
    os._exit(0)
${wholeApi}`)
  assert.equal(text, "nixl 9.9.9, UCX")
  process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL")
})

test("a path is taken in any case of its letters, and one that is not there is told from those that are", {
  skip,
}, async () => {
  assert.equal(await foundOf(wholeApi, "ucx"), "nixl 9.9.9, UCX")
  assert.match(await foundOf(wholeApi, "posix"), /POSIX is a backend for storage.*to be had here: UCX$/)
  assert.match(await foundOf(wholeApi, "UXC"), /did you mean nixl:UCX\?; to be had here: UCX$/)
  assert.match(
    await foundOf(wholeApi, "LIBFABRIC"),
    /no path LIBFABRIC here: 'LIBFABRIC'; to be had here: UCX/,
  )
  assert.match(await foundOf(wholeApi, "uccl"), /no path UCCL here: this installation does not have it/)
  assert.match(await foundOf(wholeApi, "zzz"), /its driver does not know it; to be had here/)
})

/** The calls of Mooncake's API, by the release that they came with. */
const mooncakeApi = `
class TransferEngine:
    def initialize(self, host, metadata, protocol, device): return 0
    def get_rpc_port(self): return 1
    def batch_register_memory(self, addresses, lengths): return 0
    def batch_unregister_memory(self, addresses): return 0
    def batch_transfer_sync(self, *args): return 0
class TransferOpcode:
    Read = 0
    Write = 1
`

test("Mooncake over RDMA is not there without a card, and its release may be newer than any we know", {
  skip,
}, async () => {
  const python = pythonWith(mooncakeApi, {
    module: "mooncake",
    file: "engine",
    version: "9.9",
  })
  const found = await findPeer("mooncake", undefined, { path: "TCP", python })
  assert.ok(!("unavailable" in found) && found.about === "mooncake 9.9, tcp", JSON.stringify(found))
  const older = pythonWith(mooncakeApi.replace("batch_transfer_sync", "transfer_sync"), {
    module: "mooncake",
    file: "engine",
  })
  const without = await findPeer("mooncake", undefined, { path: "tcp", python: older })
  assert.ok("unavailable" in without && /has no batch_transfer_sync/.test(without.unavailable))
})
