import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { gunzipSync } from "node:zlib"
import { KvError } from "../../errors/kv-error.ts"
import { readMarkup } from "../report/markup.test.kit.ts"
import { sampleLoad, sampleVerify } from "../report/samples.test.kit.ts"
import type { VerifyDocument } from "../verify-document.ts"
import { type BundleParts, writeBundle } from "./bundle.ts"
import type { Owner } from "./redact.ts"
import { untar } from "./untar.test.kit.ts"

const planted = {
  token: "hf-planted-0123456789",
  runSecret: "feedfacecafebeef0123456789abcdef",
  password: "planted-password-77",
  user: "plantedperson",
  home: "/srv/people/plantedperson",
  host: "planted-host-3",
  other: "planted-peer-4",
  ip: "10.77.88.99",
  ip6: "fd00:77::99",
  mac: "02:77:88:99:aa:bb",
} as const

const owner: Owner = {
  env: {
    HF_TOKEN: planted.token,
    UCX_TLS: "tcp",
    FI_PROVIDER: "sockets",
    MC_TCP_BIND_ADDRESS: planted.ip,
    NIXL_SECRET: "planted-nixl-secret",
    KVFERRY_SECRET_FILE: `${planted.home}/secret`,
    LD_LIBRARY_PATH: `${planted.home}/lib:/usr/lib`,
    UNRELATED: "planted-unrelated",
    DB_PASSWORD: planted.password,
  },
  home: planted.home,
  user: planted.user,
  hosts: [planted.host, planted.other],
  secrets: [planted.runSecret],
}

const everything = Object.values(planted).join(" ")

/** The sample with what must not leave the machine in every text that an engine can write. */
function tainted(): VerifyDocument {
  const document = sampleVerify()
  return {
    ...document,
    engines: document.engines.map((engine) => ({
      ...engine,
      about: `${engine.about ?? ""} ${everything}`,
      libraries: [`${planted.home}/lib/libucp.so.0`],
      cases: engine.cases.map((one) =>
        one.finding === undefined
          ? one
          : {
              ...one,
              finding: {
                ...one.finding,
                text: `${one.finding.text} at ${everything}`,
                log: `${one.finding.log ?? ""}\nconnect to ${everything} with \u001b[31mplanted-\u001b[0mpassword-77 password=planted-inline`,
              },
            },
      ),
    })),
  }
}

function fileFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "kvferry-bundle-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, "evidence.tar.gz")
}

const command = [
  "kvferry",
  "verify",
  "--engines",
  "nixl==0.6.1:LIBFABRIC",
  "--bundle",
  "e.tar.gz",
  "--secret-file",
  "/x/y",
]
const parts = (part: Partial<BundleParts> = {}): BundleParts => ({
  command,
  documents: { verify: tainted() },
  logs: [{ name: `nixl==0.6.1:LIBFABRIC source ${planted.host}`, text: `E ${everything}\n` }],
  receipts: [{ path: "shm", peer: planted.ip, token: "planted-receipt-token" }],
  wrongBlock: {
    engine: "nixl==0.6.1:LIBFABRIC",
    caseId: "shapes/random-blocks",
    agent: "decode",
    layer: 0,
    block: 5,
    offset: 327_680,
    expected: Buffer.alloc(65_536, 0x11),
    found: Buffer.alloc(65_536, 0x22),
  },
  ...part,
})

async function bundled(t: TestContext, part: Partial<BundleParts> = {}): Promise<Map<string, string>> {
  const file = fileFor(t)
  const { files, bytes } = await writeBundle(file, parts(part), owner)
  assert.equal(statSync(file).size, bytes)
  const archive = untar(readFileSync(file))
  const texts = new Map(
    [...archive].map(([path, text]) => [path.split("/").slice(1).join("/"), text.toString("utf8")]),
  )
  assert.deepEqual([...texts.keys()], files)
  assert.equal(new Set([...archive.keys()].map((path) => path.split("/")[0])).size, 1)
  return texts
}

test("nothing of what was planted is in the archive, in no file and in no name", async (t) => {
  const file = fileFor(t)
  await writeBundle(
    file,
    parts({ documents: { verify: tainted(), load: { ...sampleLoad(), notes: [everything] } } }),
    owner,
  )
  const bytes = gunzipSync(readFileSync(file)).toString("latin1")
  // `wherever` a planted word stands in the parts, it must have been seen by the redactor: the negative test of this test.
  assert.ok(JSON.stringify(parts()).includes(planted.token))
  for (const word of [...Object.values(planted), "planted"]) {
    const at = bytes.indexOf(word)
    assert.ok(at < 0, `${word} stands in …${bytes.slice(Math.max(0, at - 80), at + 80)}…`)
  }
  assert.ok(
    bytes.includes("host-1") && bytes.includes("ip-1") && bytes.includes("user-1") && bytes.includes("~/lib"),
  )
})

test("it holds what a maintainer asks for", async (t) => {
  const files = await bundled(t)
  for (const name of [
    "README.txt",
    "verify.json",
    "verify.html",
    "first-wrong-block.txt",
    "versions.json",
    "topology.json",
  ]) {
    assert.ok(files.has(name), name)
  }
  const versions = JSON.parse(files.get("versions.json")!)
  assert.equal(versions.node.node, process.versions.node)
  assert.equal(versions.engines.length, 4)
  assert.equal(versions.engines[2].libraries[0], "~/lib/libucp.so.0")
  const topology = JSON.parse(files.get("topology.json")!)
  assert.ok(topology.machine.cores > 0 && topology.networkInterfaces.length > 0)
  assert.deepEqual(JSON.parse(files.get("environment.json")!), {
    FI_PROVIDER: "sockets",
    KVFERRY_SECRET_FILE: "<redacted>",
    LD_LIBRARY_PATH: "~/lib:/usr/lib",
    MC_TCP_BIND_ADDRESS: "ip-1",
    NIXL_SECRET: "<redacted>",
    UCX_TLS: "tcp",
  })
  const block = files.get("first-wrong-block.txt")!
  assert.ok(block.includes("! 0000050000  11 11") && block.includes("  22 22"))
  const document = JSON.parse(files.get("verify.json")!) as VerifyDocument
  assert.equal(document.engines.length, 4)
  readMarkup(files.get("verify.html")!)
  const logs = [...files.keys()].filter((path) => path.startsWith("logs/"))
  assert.ok(logs.length >= 2)
  for (const path of logs) assert.ok(!files.get(path)!.includes("\u001b"))
})

test("the README says what was run, expected and found, and how to see it again in three commands", async (t) => {
  const readme = (await bundled(t)).get("README.txt")!
  for (const words of [
    "kvferry verify: nixl:UCX, nixl==0.6.1:LIBFABRIC failed",
    "  kvferry verify --engines nixl==0.6.1:LIBFABRIC --bundle e.tar.gz --secret-file '<redacted>'",
    "cause base-address: the base address of the region was read",
    "first wrong place: decode, layer 0, block 5, byte 327680 of the layer's region",
    "the transfer was still pending 15.0 s",
    "with wrong bytes)",
    "  npm run build\n  npx kvferry peers install nixl==1.5.1 nixl==0.6.1\n" +
      "  npx kvferry verify --engines nixl:UCX,nixl==0.6.1:LIBFABRIC --secret-file '<redacted>' --seed 42\n",
    "WHAT WAS TAKEN OUT",
  ]) {
    assert.ok(readme.includes(words), `${words}\n---\n${readme}`)
  }
  assert.ok(Math.max(...readme.split("\n").map((line) => line.length)) < 400)
})

test("the README of a run in which an engine was not here accuses nobody", async (t) => {
  const absent = { engine: "nixl:UCX", unavailable: "nixl is not installed", cases: [] }
  const verify = { ...sampleVerify(), engines: [absent], verdict: "not judged" as const }
  const readme = (await bundled(t, { documents: { verify } })).get("README.txt")!
  assert.ok(readme.startsWith("kvferry verify: not judged: nixl:UCX does not run here\n"), readme)
  assert.ok(!/failed/.test(readme.slice(0, readme.indexOf("WHAT WAS EXPECTED"))), readme)
})

test("a load's bundle tells verdicts, and no rate of bytes that were wrong", async (t) => {
  const load = sampleLoad()
  const results = load.results.map((result) =>
    result.verdict === "identical" ? result : { ...result, cpuSecondsPerGb: 7777.7 },
  )
  const files = await bundled(t, { documents: { load: { ...load, results } }, command: ["kvferry", "bench"] })
  assert.ok(
    files.get("README.txt")!.includes("nixl==0.6.1:LIBFABRIC: different: 6,400 of 6,400 blocks are wrong"),
  )
  assert.ok(files.get("README.txt")!.startsWith("kvferry bench: nixl==0.6.1:LIBFABRIC moved wrong bytes\n"))
  assert.ok(files.has("load.html"))
  for (const [path, text] of files) assert.ok(!text.includes("7777.7"), path)
})

test("a bundle that cannot be written leaves nothing", async (t) => {
  const file = fileFor(t)
  await assert.rejects(
    writeBundle(join(file, "in", "nothing.tar.gz"), parts(), owner),
    (error: unknown) => error instanceof KvError && error.code === "KV_OS",
  )
  assert.deepEqual(readdirSync(join(file, "..")), [])
})

test("this process's own facts will do", async (t) => {
  const file = fileFor(t)
  const { files } = await writeBundle(file, { command: ["kvferry", "verify"], documents: {} })
  assert.deepEqual(files, ["README.txt", "versions.json", "topology.json", "environment.json"])
  assert.equal(statSync(file).mode & 0o777, 0o600)
})
