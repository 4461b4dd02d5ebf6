import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { installPeer } from "./install-peer.ts"

// A package index that stalls, cuts off or lies: the reason is told, soon, and nothing is left half made.
const folder = mkdtempSync(join(tmpdir(), "kvferry-index-"))
const root = join(folder, "peers")
const probe = spawnSync("python3", ["-c", "import venv, ensurepip"])
const skip = probe.status === 0 ? false : "no python3 that can make an environment"

const wheel = "mooncake_transfer_engine_non_cuda-1.0-py3-none-any.whl"
/** What the index does when the wheel is asked for. */
let serve: (response: ServerResponse) => void = () => {}
const server = createServer(({ url }, response) => {
  if (url?.endsWith(".whl") === true) return serve(response)
  response.setHeader("content-type", "text/html")
  response.end(`<a href="/files/${wheel}">${wheel}</a>`)
})

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  process.env["PIP_INDEX_URL"] = `http://127.0.0.1:${port}/simple`
  process.env["PIP_TIMEOUT"] = "1"
  process.env["PIP_RETRIES"] = "0"
  process.env["PIP_NO_CACHE_DIR"] = "1"
})
after(() => {
  server.close()
  server.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
})

const silent = { update() {}, end() {} }
const left = (): string[] => (existsSync(root) ? readdirSync(root) : [])
const install = (options = {}) =>
  installPeer({ family: "mooncake" }, { python: "python3", progress: silent, root, ...options })

function start(response: ServerResponse): void {
  response.writeHead(200, { "content-length": "1000000", "content-type": "application/zip" })
  response.write(Buffer.alloc(10_000))
}

test("an index that stalls in a download, or cuts it off, is one that cannot be reached", {
  skip,
}, async () => {
  serve = start
  await assert.rejects(install(), { code: "KV_PEER_UNREACHABLE", why: /timed out/ })
  serve = (response) => {
    start(response)
    setTimeout(() => response.destroy(), 50)
  }
  await assert.rejects(install(), { code: "KV_PEER_UNREACHABLE" })
  assert.deepEqual(left(), [])
})

test("what is no wheel is not installed", { skip }, async () => {
  serve = (response) => response.end("not a wheel")
  await assert.rejects(install(), {
    code: "KV_PEER_UNREACHABLE",
    what: /no whole package/,
  })
  assert.deepEqual(left(), [])
})

test("Ctrl-C while an index stalls ends it at once", { skip }, async () => {
  serve = start
  process.env["PIP_TIMEOUT"] = "60"
  const controller = new AbortController()
  let at = 0
  const progress = {
    update(label: string) {
      if (!label.startsWith("downloading") || at > 0) return
      at = performance.now()
      controller.abort()
    },
    end() {},
  }
  await assert.rejects(install({ progress, signal: controller.signal }), { code: "KV_CANCELLED" })
  assert.ok(at > 0 && performance.now() - at < 10_000)
  assert.deepEqual(left(), [])
})

test("a Python that is too old is told from one that is not there", async () => {
  const python = join(folder, "old-python")
  writeFileSync(python, '#!/bin/sh\necho \'{"version": "3.9.18", "missing": []}\'\n', { mode: 0o755 })
  await assert.rejects(install({ python }), {
    code: "KV_OS",
    what: /is Python 3\.9\.18/,
    why: /3\.10 or newer/,
  })
})

test("a Python without the module for environments is told the package that has it", async () => {
  const python = join(folder, "bare-python")
  writeFileSync(python, '#!/bin/sh\necho \'{"version": "3.11.2", "missing": ["ensurepip"]}\'\n', {
    mode: 0o755,
  })
  await assert.rejects(install({ python }), {
    code: "KV_OS",
    what: /no module ensurepip/,
    next: /python3-venv/,
  })
})
