/** The two sides of a bench in two network namespaces, which share nothing but a cable. */
import assert from "node:assert/strict"
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { printedLoad } from "../load-schema.test.kit.ts"

const main = fileURLToPath(new URL("../../../cli/main.js", import.meta.url))
const [near, far] = [`kvb-n${process.pid}`, `kvb-f${process.pid}`]

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return "network namespaces need root"
  const made = spawnSync("ip", ["netns", "add", near])
  if (made.status !== 0) return "ip netns add does not work here"
  spawnSync("ip", ["netns", "del", near])
  return false
}

/** Two namespaces with an address each, joined by a veth pair. */
function join2(): void {
  const ip = (...args: string[]): void => void execFileSync("ip", args)
  for (const name of [near, far]) ip("netns", "add", name)
  ip("link", "add", "kvb0", "netns", near, "type", "veth", "peer", "name", "kvb0", "netns", far)
  for (const [name, address] of [
    [near, "10.244.231.1/24"],
    [far, "10.244.231.2/24"],
  ] as const) {
    ip("-n", name, "addr", "add", address, "dev", "kvb0")
    ip("-n", name, "link", "set", "kvb0", "up")
    ip("-n", name, "link", "set", "lo", "up")
  }
}

test("a load between two hosts goes over the wire, and its bytes are checked on both", {
  timeout: 120_000,
  skip: whyNot(),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-bench-"))
  const secret = join(folder, "secret")
  writeFileSync(secret, "0123456789abcdef0123456789abcdef\n", { mode: 0o600 })
  let target: ChildProcess | undefined
  try {
    join2()
    const within = (name: string): string[] => ["netns", "exec", name, process.execPath, main, "bench"]
    target = spawn(
      "ip",
      [...within(far), "target", "--host", "10.244.231.2", "--port", "0", "--secret-file", secret, "--leash"],
      { stdio: ["pipe", "pipe", "inherit"] },
    )
    const [line] = (await once(target.stdout!, "data")) as [Buffer]
    const { address } = JSON.parse(line.toString()) as { address: string }
    const load = [
      "--block-size",
      "4K",
      "--blocks",
      "3",
      "--rounds",
      "2",
      "--duration",
      "0.05",
      "--json",
      "--engines",
      "kvferry:tcp,memcpy",
    ]
    const run = spawnSync(
      "ip",
      [...within(near), "initiator", "--target", address, "--secret-file", secret, ...load, "--op", "read"],
      { encoding: "utf8" },
    )
    assert.equal(run.status, 0, run.stderr + run.stdout)
    const document = printedLoad(run.stdout)
    assert.equal(document.verdict, "identical")
    assert.equal(document.shape.strategy, "spread")
    assert.equal(document.results.find(({ engine }) => engine === "kvferry:tcp")!.receipt!.path, "tcp")
    assert.match(document.notes.join("\n"), /target: .* cores/)
  } finally {
    if (target !== undefined) {
      const ended = once(target, "exit")
      target.stdin!.end()
      await ended
    }
    for (const name of [near, far]) spawnSync("ip", ["netns", "del", name])
    rmSync(folder, { recursive: true })
  }
})
