import assert from "node:assert/strict"
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { fileURLToPath } from "node:url"
import { kvferry } from "./run-kvferry.ts"

const model = fileURLToPath(new URL("../../models/ferry-tiny", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "kvferry-bad-input-"))
after(() => rmSync(folder, { recursive: true }))

/** Runs a command that must fail, and returns what it said. One message, with what and what to do. */
async function refused(args: readonly string[], code: number, input?: string): Promise<string> {
  const ended = await kvferry(args, input === undefined ? {} : { input })
  assert.equal(ended.code, code, `${args.join(" ")}: ${ended.stderr}`)
  assert.ok(!ended.stderr.includes("    at "), `no stack trace: ${ended.stderr}`)
  return ended.stderr
}

/** A copy of the model that one change has spoilt. */
function spoilt(name: string, spoil: (directory: string) => void): string {
  const directory = join(folder, name)
  cpSync(model, directory, { recursive: true })
  spoil(directory)
  return directory
}

test("an unknown option or command is told with the nearest one", async () => {
  assert.match(await refused(["demo", "--promt", "x"], 2), /--prompt/)
  assert.match(await refused(["demoo"], 2), /demo/)
  assert.match(await refused(["demo", "--inject", "gremlins"], 2), /kv-swapped/)
  assert.match(await refused(["demo", "--inject", "float-off:1,x"], 2), /FAULT/)
  assert.match(await refused(["demo", "--max-tokens", "0"], 2), /whole number from 1/)
  assert.match(await refused(["demo", "--temperature", "NaN"], 2), /number from 0 to 2/)
  assert.match(
    await refused(["worker", "--role", "prefill", "--paths", "pigeon"], 2),
    /there is no transport "pigeon"/,
  )
})

test("a prompt that cannot be read, is not UTF-8, is empty or too long is told with the numbers", async () => {
  assert.match(await refused(["demo", "--prompt-file", join(folder, "nowhere")], 2), /cannot be read/)
  assert.match(await refused(["demo", "--prompt-file", folder], 2), /cannot be read/)
  const latin = join(folder, "latin1.txt")
  writeFileSync(latin, Buffer.from("Hafenstra\u00dfe", "latin1"))
  assert.match(await refused(["demo", "--prompt-file", latin], 2), /not UTF-8: byte 9 of 11/)
  assert.match(await refused(["demo", "--prompt", ""], 2), /empty/)
  assert.match(await refused(["demo", "--prompt", "boat ".repeat(3000)], 2), /context holds 1280/)
})

test("a model folder with something missing or wrong is told by file, tensor and numbers", async () => {
  const cases: [string, (directory: string) => void, RegExp][] = [
    ["no-config", (at) => rmSync(join(at, "config.json")), /config\.json/],
    ["no-tokenizer", (at) => rmSync(join(at, "tokenizer.json")), /tokenizer\.json/],
    ["no-weights", (at) => rmSync(join(at, "model.safetensors")), /safetensors/],
    ["cut", (at) => truncateSync(join(at, "model.safetensors"), 100_000), /model\.safetensors/],
    ["not-json", (at) => writeFileSync(join(at, "config.json"), "{ not json"), /config\.json/],
    [
      "wrong-shape",
      (at) => {
        const config = join(at, "config.json")
        writeFileSync(
          config,
          readFileSync(config, "utf8").replace('"intermediate_size": 384', '"intermediate_size": 392'),
        )
      },
      /392/,
    ],
  ]
  for (const [name, spoil, message] of cases) {
    assert.match(await refused(["demo", "--model", spoilt(name, spoil), "--prompt", "x"], 2), message)
  }
  assert.match(await refused(["demo", "--model", join(folder, "nowhere"), "--prompt", "x"], 2), /nowhere/)
})

test("a port in use is told, and nothing is left running", async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  assert.ok(address !== null && typeof address === "object")
  assert.match(
    await refused(["demo", "--prompt", "x", "--port", String(address.port)], 3),
    new RegExp(`port ${address.port}`),
  )
  server.close()
})

test("a path that cannot be used is a refusal, never a silent other way", async () => {
  const { code, stdout } = await kvferry(["demo", "--json", "--prompt", "The sea", "--paths", "loopback"])
  assert.equal(code, 3)
  assert.match(stdout, /KV_TRANSPORT_UNAVAILABLE/)
  assert.match(stdout, /the peer is another process/)
})

test("errors of --json are JSON too", async () => {
  const { code, stdout } = await kvferry(["demo", "--json", "--prompt-file", join(folder, "nowhere")])
  assert.equal(code, 2)
  assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, "KV_PROMPT_INVALID")
})

test("a secret that others can read is refused", async () => {
  const secret = join(folder, "open-secret")
  writeFileSync(secret, "0123456789abcdef0123456789abcdef", { mode: 0o644 })
  assert.match(await refused(["worker", "--role", "decode", "--secret-file", secret], 2), /chmod 600/)
})
