import assert from "node:assert/strict"
import { test } from "node:test"
import { Redactor } from "./redact.ts"

const redactor = (part: Partial<ConstructorParameters<typeof Redactor>[0]> = {}): Redactor =>
  new Redactor({
    env: {},
    home: "/home/alice",
    user: "alice",
    hosts: ["gpu-box-7.example.org", "decode-9"],
    ...part,
  })

test("names and addresses become the same placeholder everywhere", () => {
  assert.equal(
    redactor().text(
      "gpu-box-7 10.1.2.3 -> decode-9 [2001:db8::7]:4000, GPU-BOX-7.example.org at 10.1.2.3 and 10.1.2.4",
    ),
    "host-1 ip-1 -> host-2 [ip-3]:4000, host-1 at ip-1 and ip-2",
  )
})

test("loopback, versions, times and C++ names stay", () => {
  const text =
    "127.0.0.1:18515 ::1 0.0.0.0 libfabric 2.7.0 0.3.13.post1 6.1.0-28-amd64 02:53:45 12:34:56.789 std::string ucp::ep 0000:17:00.0 layer 0:1"
  assert.equal(redactor().text(text), text)
})

test("cards of a machine lose their numbers", () => {
  assert.equal(
    redactor().text(
      "mac 02:42:ac:11:00:02, guid 0242:acff:fe11:0002, gid fe80:0000:0000:0000:0042:acff:fe11:0002, ::ffff:10.1.2.3",
    ),
    "mac mac-1, guid guid-1, gid ip-2, ip-3",
  )
})

test("home folders and people go, accounts of everybody stay words", () => {
  assert.equal(
    redactor().text("/home/alice/kv /home/alice2/kv /home/bob/x alice's mail alice@example.com, malice"),
    "~/kv /home/user-1/kv /home/user-2/x user-3's mail mail-1, malice",
  )
  const root = redactor({ home: "/root", user: "root" })
  assert.equal(root.text("/root/.cache and /rooted: the root cause"), "~/.cache and /rooted: the root cause")
})

test("secrets of the environment go in every form, those of others by their looks", () => {
  const env = { HF_TOKEN: "s3cr3t/value with+signs", PLAIN: "visible", DB_PASSWORD: 'two\n"lines" of it' }
  const out = redactor({ env }).text(
    [
      "s3cr3t/value with+signs",
      encodeURIComponent(env.HF_TOKEN),
      Buffer.from(env.HF_TOKEN).toString("base64"),
      Buffer.from(env.HF_TOKEN).toString("hex"),
      JSON.stringify(env.DB_PASSWORD),
      "https://bob:hunter22@host.example/x redis://:pw123456@h",
      "Authorization: Bearer abcdef.ghijkl-mnop",
      'password=correcthorse api_key: "battery-staple" --secret-key staple99 "token": "t0ken-x"',
      "hf_abcdefghijklmnop AKIAABCDEFGHIJKLMNOP eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln",
      "-----BEGIN PRIVATE KEY-----\nMIIEvQ\nabc\n-----END PRIVATE KEY-----",
      "visible",
    ].join("\n"),
  )
  assert.doesNotMatch(
    out,
    /s3cr3t|c3JzY3|733363|lines|hunter22|pw123456|abcdef|correcthorse|battery|staple99|t0ken-x|AKIAA|eyJh|MIIEvQ/,
  )
  assert.ok(out.endsWith("visible"))
})

test("secrets of the run itself go, also as bytes, and what is left of one where a text was cut", () => {
  const bytes = Uint8Array.from({ length: 32 }, (_, i) => (i * 37 + 129) % 256)
  const hex = Buffer.from(bytes).toString("hex")
  const one = redactor({ secrets: [bytes, "feedfacecafebeef0123456789abcdef"] })
  for (const text of [
    hex,
    hex.toUpperCase(),
    Buffer.from(bytes).toString("base64"),
    `${hex.slice(0, 30)}…`,
    `…${hex.slice(-30)}`,
    "feedfacecafebeef0123456789abcde…",
    "…cafebeef0123456789abcdef",
  ])
    assert.match(one.text(`at ${text}`.replace("at …", "at\n…")), /^at\s…?<redacted>…?$/, text)
  assert.equal(one.text("the feed… of cafés…"), "the feed… of cafés…")
})

test("what engines say of keys and tokens stays, as long as it opens nothing", () => {
  const text =
    "rkey 0x1f3a of rail 1; key by local rail index; 768 prompt tokens; block_tokens: 16; remote_key=7"
  assert.equal(redactor().text(text), text)
})

test("a value is walked: keys that name secrets hide their texts, numbers stay", () => {
  const value = { apiKey: "abc", nested: [{ host: "gpu-box-7", tokens: 12, password: "x" }], none: null }
  assert.deepEqual(redactor().value(value), {
    apiKey: "<redacted>",
    nested: [{ host: "host-1", tokens: 12, password: "<redacted>" }],
    none: null,
  })
})

test("what was replaced is counted by its kind", () => {
  const one = redactor()
  one.text("10.0.0.1 10.0.0.1 gpu-box-7 /home/alice")
  assert.deepEqual(one.counts, { "home folder": 1, host: 1, ip: 2 })
})

test("names in their network are taken out though nobody named them", () => {
  assert.equal(
    redactor().text("ip-10-0-3-4.ec2.internal node17.cluster.local printer.lan pypi.org"),
    "host-2 host-3 host-4 pypi.org",
  )
})
