/** One guest: the process that it is, what it says, and its end, which leaves nothing behind. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }

/** The signals that tell this process to end. */
export const endings = Object.keys(codes)

/** How much of the console is kept: its end tells why a guest died. */
const consoleCharactersMax = 64 * 1024

/** Ends the guest, with all of its processes, when its input ends: told so, or because this process is no more. */
const keeper = join(import.meta.dirname, "keeper.sh")

/**
 * Boots a guest and waits for its end, or ends it: at the time limit, and when this process is told to end.
 *
 * @param machine the program, its arguments and environment; its descriptor 3 is the command's output, 4 its errors,
 *   5 the guest's reports, 6 its console
 * @param sinks where the command's output and errors go as they come
 * @param booted called when the command is about to start
 * @returns how it ended: `exit` with the command's code, `limit`, `interrupted` with the code that says by what,
 *   `trouble` in the guest's words, or `died`; the seconds to the command's start and in all; the console's end
 */
export async function runGuest(machine, timeoutSeconds, sinks, booted) {
  const started = performance.now()
  const seconds = () => (performance.now() - started) / 1000
  const child = spawn(keeper, [machine.program, ...machine.arguments], {
    detached: true,
    env: machine.environment,
    stdio: ["pipe", "pipe", "pipe", "pipe", "pipe", "pipe", "pipe"],
  })
  let said = ""
  let ready
  let interrupt
  const hear = (chunk) => {
    said = (said + chunk).slice(-consoleCharactersMax)
  }
  for (const descriptor of [1, 2, 6]) child.stdio[descriptor].setEncoding("utf8").on("data", hear)
  const flows = [flow(child.stdio[3], sinks.output), flow(child.stdio[4], sinks.errors)]
  // A guest that died by itself listens no more.
  child.stdin.on("error", () => {})
  const closed = once(child, "close").catch(() => {})

  const end = await new Promise((resolve) => {
    onLines(child.stdio[5], (line) => {
      const [word, ...rest] = line.split(" ")
      if (word === "exit") resolve({ how: "exit", code: Number(rest[0]) })
      if (word === "trouble") resolve({ how: "trouble", words: rest.join(" ") })
      if (word !== "ready") return
      ready = seconds()
      booted()
    })
    child.once("error", (error) => {
      hear(`${error.message}\n`)
      resolve({ how: "died" })
    })
    child.once("exit", () => resolve({ how: "died" }))
    setTimeout(() => resolve({ how: "limit" }), timeoutSeconds * 1000).unref()
    interrupt = (signal) => resolve({ how: "interrupted", code: codes[signal] })
    for (const signal of endings) process.on(signal, interrupt)
  })
  child.stdin.end()
  await Promise.all([closed, ...flows])
  for (const signal of endings) process.off(signal, interrupt)
  return { ...end, ready, all: seconds(), console: said }
}

/** Passes a stream on, at the pace of who reads it. Resolves when all of it was handed over. */
async function flow(source, sink) {
  let open = true
  const shut = () => {
    open = false
  }
  sink.on("error", shut)
  // Who reads may stop, as `head` does. The command goes on, unheard.
  for await (const chunk of source) {
    if (!open) continue
    await new Promise((resolve) => {
      sink.once("error", resolve)
      sink.write(chunk, () => {
        sink.off("error", resolve)
        resolve()
      })
    })
  }
}

function onLines(source, take) {
  let rest = ""
  source.setEncoding("utf8").on("data", (chunk) => {
    const found = (rest + chunk).split("\n")
    rest = found.pop()
    for (const line of found) take(line.trimEnd())
  })
}
