import assert from "node:assert/strict"
import { test } from "node:test"
import type { EngineCommand } from "../engines/engine-command.ts"
import { DriverFailed, type DriverFailure } from "./driver-failed.ts"
import { DriverProcess } from "./driver-process.ts"
import type { Questions } from "./protocol.ts"

/** A driver in a few lines of JavaScript: `answer(question)` says what it writes for each. */
function driver(answer: string, first = ""): EngineCommand {
  const script = `
    const fs = require("node:fs")
    const file = fs.openSync("/dev/shm/kvferry-driver-" + process.pid, "w+")
    fs.unlinkSync("/dev/shm/kvferry-driver-" + process.pid)
    fs.writeSync(file, Buffer.alloc(8192, 7))
    const opened = { about: "a", version: "1", libraries: [], capabilities: ["read"],
      memory: [{ path: "/proc/self/fd/" + file, bytes: 8192 }], micros: { open: 1, register: 1 } }
    const say = (text) => process.stdout.write(text)
    const line = (value) => say(JSON.stringify(value) + "\\n")
    const answer = ${answer}
    require("node:readline").createInterface({ input: process.stdin })
      .on("line", (text) => answer(JSON.parse(text)))
      .on("close", () => process.exit(0))
    ${first}`
  return {
    spec: { name: "scripted", family: "kvferry" },
    command: process.execPath,
    args: ["-e", script],
    env: {},
    about: "a script",
  }
}

const open: Questions["open"] = {
  name: "a",
  level: "pieces",
  cache: {
    layers: 1,
    blocks: 2,
    blockTokens: 16,
    kvHeads: 1,
    firstHead: 0,
    heads: 1,
    headDim: 32,
    elementBytes: 4,
  },
  options: {},
}

async function failure(wanted: DriverFailure, asked: Promise<unknown>): Promise<DriverFailed> {
  try {
    await asked
  } catch (thrown) {
    assert.ok(thrown instanceof DriverFailed, String(thrown))
    assert.equal(thrown.kind, wanted, thrown.text)
    return thrown
  }
  return assert.fail(`no ${wanted}`)
}

const obliging = `({ call, op }) => line({ call, answer: op === "open" ? opened : op === "lend" ? { offer: "o" } : {} })`

test("a driver's memory is mapped, and its answers are those of its questions", async () => {
  await using one = await DriverProcess.start(driver(obliging))
  const { capabilities } = await one.open(open)
  assert.deepEqual(capabilities, ["read"])
  assert.equal(one.memory.length, 1)
  assert.equal(one.memory[0]!.view(8191, 1)[0], 7)
  const answers = await Promise.all([
    one.ask("lend", { blocks: [1], tokens: 16, access: "read" }),
    one.ask("connect", { peer: "b", card: "" }),
  ])
  assert.deepEqual(answers, [{ offer: "o" }, {}])
})

test("memory of a driver that was killed can still be looked at", async () => {
  await using one = await DriverProcess.start(driver(obliging))
  await one.open(open)
  await one.kill()
  assert.equal(one.memory[0]!.view(0, 1)[0], 7)
  assert.equal(one.alive, false)
  const { text } = await failure("crash", one.ask("notes", {}))
  assert.match(text, /ended by SIGKILL/)
})

test("an engine's error keeps its code, and nothing that a terminal would obey", async () => {
  const rude = `({ call }) => line({ call, error: { code: "NOPE\\u001b[2J\\u0007", text: "a\\nb" } })`
  await using one = await DriverProcess.start(driver(rude))
  const { code, text } = await failure("error", one.ask("notes", {}))
  assert.equal(code, "NOPE\\u{7}")
  assert.equal(text, "a\\u{a}b")
})

test("a question without an answer is a hang, and its late answer belongs to nobody", async () => {
  const slow = `({ call, op }) => setTimeout(() => line({ call, answer: op === "notes" ? { notes: [] } : {} }), op === "notes" ? 300 : 0)`
  await using one = await DriverProcess.start(driver(slow))
  await failure("hang", one.ask("notes", {}, { millis: 50 }))
  assert.equal(one.alive, true)
  await new Promise((resolve) => setTimeout(resolve, 400))
  assert.deepEqual(await one.ask("deregister", {}), {})
})

test("a paused driver hangs, and answers when it is let go on", async () => {
  await using one = await DriverProcess.start(driver(obliging))
  await one.ask("deregister", {})
  one.pause()
  await failure("hang", one.ask("deregister", {}, { millis: 100 }))
  one.resume()
  assert.deepEqual(await one.ask("deregister", {}), {})
})

test("a driver that is disposed of while it is paused ends", { timeout: 10_000 }, async () => {
  const one = await DriverProcess.start(driver(obliging))
  await one.ask("deregister", {})
  one.pause()
  await one[Symbol.asyncDispose]()
  await one.ended
})

test("rubbish, an endless line, senseless numbers and a death are crashes, with the last words", async () => {
  const crashes: [string, RegExp][] = [
    [`() => say("hello\\n")`, /no answer: hello/],
    [
      `() => { const more = () => process.stdout.write("x".repeat(1 << 20), more); more() }`,
      /endless line that begins x/,
    ],
    [`({ call }) => line({ call, answer: { notes: "many" } })`, /makes no sense \(notes/],
    [`({ call }) => line({ call, answer: { notes: [{ from: "a" }] } })`, /makes no sense/],
    [`({ call }) => line({ call: -1, answer: {} })`, /no answer/],
    [`() => { process.stderr.write("oh\\u0007 dear\\n", () => process.exit(3)) }`, /exited with code 3/],
  ]
  for (const [answer, expected] of crashes) {
    await using one = await DriverProcess.start(driver(answer))
    const { text, log } = await failure("crash", one.ask("notes", {}))
    assert.match(text, expected)
    if (answer.includes("dear")) assert.equal(log, "oh\\u{7} dear")
    await failure("crash", one.ask("notes", {}))
    await one.ended
  }
})

test("memory that is not the driver's, or shorter than it says, is refused", async () => {
  const lies = [
    `{ path: "/etc/passwd", bytes: 8 }`,
    `{ path: opened.memory[0].path, bytes: 8193 }`,
    `{ path: "/proc/1/fd/9999", bytes: 8 }`,
  ]
  for (const lie of lies) {
    const answer = `({ call }) => line({ call, answer: { ...opened, memory: [${lie}] } })`
    await using one = await DriverProcess.start(driver(answer))
    await failure("crash", one.open(open))
  }
})

test("a program that is not there is said", async () => {
  const missing = { ...driver("0"), command: "/nowhere/python" }
  const { text } = await failure("crash", DriverProcess.start(missing))
  assert.match(text, /scripted did not start: .*ENOENT/)
})
