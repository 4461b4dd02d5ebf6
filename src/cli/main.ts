#!/usr/bin/env node
import { Command, CommanderError } from "commander"
import { asKvError, KvError } from "../errors/kv-error.ts"
import { softwareVersion } from "../serve/version.ts"
import { benchCommand } from "./bench.ts"
import { configCommand } from "./config.ts"
import { demoCommand } from "./demo.ts"
import { explainCommand } from "./explain.ts"
import { frontendCommand } from "./frontend.ts"
import { identityCommand } from "./identity.ts"
import { isAnnounced } from "./lifetime.ts"
import { peersCommand } from "./peers.ts"
import { planCommand } from "./plan.ts"
import { receiptsCommand } from "./receipts.ts"
import { describeError } from "./report-error.ts"
import { verifyCommand } from "./verify.ts"
import { workerCommand } from "./worker.ts"

const examples = `
Examples:
  kvferry demo                        three processes, and the proof that the answers are right
  kvferry demo --prompt "Once"        the same with your own text
  kvferry demo --inject kv-swapped    damage one block and see it convicted
  kvferry receipts --last 20          the evidence of the last transfers on this machine
  kvferry explain HOST:PORT           each path to a worker's agent: usable or not, and why
  kvferry config show --origin        the settings of RDMA, and where each came from
  kvferry plan --machine p5.48xlarge  what a transfer would take there, computed
  kvferry identity                    this user's public key, for another agent's trust file
  kvferry peers install nixl          another engine, for verify and bench to drive
  kvferry verify                      every path of this machine, put through the judge's cases
  kvferry bench                       a small load, beside the ceiling, every byte checked
  kvferry bench record --quick        every fabric beside C ceilings, in many jobs

Exit codes: 0 came out right, 1 the judged thing is wrong, 2 wrong usage, 3 could not be done, 130 interrupted.`

/** By what the system says: what a user can do. */
const scarce: ReadonlyMap<string, string> = new Map([
  ["EMFILE", "raise the limit of open files, ulimit -n 4096 say, or ask for fewer engines"],
  ["ENFILE", "close other programs: this machine has too many open files"],
  ["ENOSPC", "free some space, or write elsewhere"],
  ["ENOMEM", "free some memory, or ask for less"],
])

const program = new Command("kvferry")
  .description("Carries the KV cache of large language models from prefill to decode workers, and proves it.")
  .version(softwareVersion())
  .addHelpText("after", examples)
  .showSuggestionAfterError()
  // Options behind a command's name are that command's own.
  .enablePositionalOptions()
  .exitOverride()
  .configureOutput({ writeOut: (text) => process.stdout.write(text) })

for (const command of [
  demoCommand(),
  workerCommand(),
  frontendCommand(),
  explainCommand(),
  configCommand(),
  planCommand(),
  identityCommand(),
  receiptsCommand(),
  benchCommand(),
  verifyCommand(),
  peersCommand(),
]) {
  program.addCommand(command.exitOverride())
}

// A reader that goes away (`| head`) is no failure, and no success of what has failed.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(process.exitCode ?? 0)
  process.exit(failed(outOf(error, "standard output could not be written")))
})
// Nobody is left to be told.
process.stderr.on("error", () => {})
// Not Node's exit code 1: that says that what was judged is wrong.
process.on("uncaughtException", (thrown) => process.exit(failed(outOf(thrown, "the system refused"))))

try {
  await program.parseAsync(process.argv)
} catch (thrown) {
  process.exitCode = failed(thrown)
}

/** What the system has run out of; anything else as it is. */
function outOf(thrown: unknown, what: string): unknown {
  const { code, message } = thrown as NodeJS.ErrnoException
  const next = scarce.get(code ?? "")
  return next === undefined ? thrown : new KvError("KV_OS", { what, why: message, next, cause: thrown })
}

/** Whether the document goes to standard output. Behind `verify --json` may stand a file, and then text does. */
function jsonOnOutput(argv: readonly string[]): boolean {
  return argv.some(
    (word, i) => word === "--json" && (argv[2] !== "verify" || !/^[^-]/.test(argv[i + 1] ?? "")),
  )
}

/** Tells an error once, in the form that was asked for, and returns the exit code. */
function failed(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    // Help and version end like this too, with code 0; a real mistake was already told by commander.
    return thrown.exitCode === 0 ? 0 : 2
  }
  const error =
    thrown instanceof KvError
      ? thrown
      : asKvError(thrown, "KV_INTERNAL", "kvferry failed by a mistake of its own")
  // A child on a leash tells its parent, which tells the user: once.
  if (process.argv.includes("--leash") && !isAnnounced()) {
    process.stdout.write(`${JSON.stringify({ error: error.toJSON() })}\n`)
    return error.exitCode
  }
  if (jsonOnOutput(process.argv)) process.stdout.write(`${JSON.stringify({ error: error.toJSON() })}\n`)
  process.stderr.write(`${describeError(error)}\n`)
  if (error.code === "KV_INTERNAL" && thrown instanceof Error) process.stderr.write(`${thrown.stack ?? ""}\n`)
  return error.exitCode
}
