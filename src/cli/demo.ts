import { fstatSync } from "node:fs"
import { buffer } from "node:stream/consumers"
import { Command, Option } from "commander"
import type { DemoReport } from "../demo/demo.ts"
import { progressOn } from "../terminal/progress.ts"
import { styleFor } from "../terminal/style.ts"
import type { FaultRequest } from "../verify/faults.ts"
import { interruption } from "./lifetime.ts"
import {
  bundledModel,
  collect,
  contextHelp,
  faultOption,
  numberBetween,
  portNumber,
  wholeNumber,
} from "./options.ts"
import { addRdmaOptions, rdmaArguments } from "./rdma-options.ts"

interface Flags {
  readonly model: string
  readonly context?: number
  readonly prompt?: string[]
  readonly promptFile?: string[]
  readonly maxTokens?: number
  readonly temperature: number
  readonly seed: number
  readonly port: number
  readonly blockTokens: number
  readonly paths?: string
  readonly require?: string
  readonly rails?: number
  readonly inject?: { readonly text: string; readonly request: FaultRequest }
  readonly injectAt: "landing" | "pool"
  readonly serve: boolean
  readonly json: boolean
}

/** `kvferry demo`: a prompt prefills in one process, decodes in another, and the answer is proven right. */
export const demoCommand = (): Command => addRdmaOptions(plainCommand())

function plainCommand(): Command {
  return new Command("demo")
    .description(
      "Prefills in one process, decodes in another, and proves the answers against a run in one process.",
    )
    .addOption(
      new Option("--model <dir>", "model folder in the Hugging Face layout")
        .env("KVFERRY_MODEL")
        .default(bundledModel, "the bundled model"),
    )
    .option("--context <tokens>", contextHelp, wholeNumber(16, 2 ** 20))
    .option("--prompt <text>", "your own prompt; may be repeated", collect)
    .option("--prompt-file <file>", "a UTF-8 file as prompt, - for standard input; may be repeated", collect)
    .option(
      "--max-tokens <n>",
      "tokens of an answer to your own prompt (default: 48, or what fits)",
      wholeNumber(1, 2 ** 20),
    )
    .option("--temperature <t>", "0 takes the most likely token", numberBetween(0, 2), 0)
    .option("--seed <n>", "of the draws at a temperature above 0", wholeNumber(0, 2 ** 32 - 1), 0)
    .addOption(
      new Option("--port <port>", "the frontend's port; 0 takes a free one")
        .env("KVFERRY_PORT")
        .argParser(portNumber),
    )
    .option("--block-tokens <n>", "tokens of a block", wholeNumber(1, 1024), 16)
    .addOption(new Option("--paths <list>", "allowed transports, best first").env("KVFERRY_PATHS"))
    .addOption(new Option("--require <list>", "refuse anything but these transports").env("KVFERRY_REQUIRE"))
    .option("--rails <n>", "streams between the workers", wholeNumber(1, 16))
    .addOption(
      new Option(
        "--inject <fault>",
        "plant damage in the decode worker's pool: FAULT[:layer,block,head]",
      ).argParser(faultOption),
    )
    .addOption(
      new Option("--inject-at <moment>", "landing: before the transfer's proof; pool: after it")
        .choices(["landing", "pool"])
        .default("pool"),
    )
    .option("--serve", "leave the processes up for curl, an OpenAI client or a browser", false)
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .action(async (flags: Flags, command: Command) => {
      const { runDemo } = await import("../demo/demo.ts")
      const style = styleFor(process.stdout)
      const output = {
        write: flags.json ? () => {} : (text: string) => void process.stdout.write(text),
        report: (report: DemoReport) => {
          if (flags.json) process.stdout.write(`${JSON.stringify(report)}\n`)
        },
        style,
        progress: progressOn(process.stderr),
      }
      const report = await runDemo(
        {
          model: flags.model,
          ...(flags.context === undefined ? {} : { context: flags.context }),
          prompts: await ownPrompts(flags),
          ...(flags.maxTokens === undefined ? {} : { maxTokens: flags.maxTokens }),
          temperature: flags.temperature,
          seed: flags.seed,
          port: flags.port ?? (flags.serve ? 8000 : 0),
          blockTokens: flags.blockTokens,
          workerArgs: [
            ...(flags.paths === undefined ? [] : ["--paths", flags.paths]),
            ...(flags.require === undefined ? [] : ["--require", flags.require]),
            ...(flags.rails === undefined ? [] : ["--rails", String(flags.rails)]),
            ...rdmaArguments(command),
          ],
          ...(flags.inject === undefined ? {} : { inject: { ...flags.inject, at: flags.injectAt } }),
          serve: flags.serve,
          interrupted: interruption(),
        },
        output,
      )
      process.exitCode = report.verdict === "identical" ? 0 : 1
    })
}

/** The prompts given on the command line, in files, or on standard input when it is a pipe or a file with text. */
async function ownPrompts(flags: Flags): Promise<string[]> {
  const { promptText, readPromptFile } = await import("../demo/prompts.ts")
  const given = [...(flags.prompt ?? [])]
  for (const file of flags.promptFile ?? []) {
    given.push(
      file === "-" ? promptText(await buffer(process.stdin), "standard input") : readPromptFile(file),
    )
  }
  if (given.length > 0) return given
  const text = await pipedText()
  return text === undefined ? [] : [text]
}

/** How long a pipe may be silent before it is taken for one that was never meant for us. */
const silentMillis = 1000

/**
 * Text that somebody piped or redirected into us.
 *
 * A terminal holds none, and neither does what a service manager or a test harness leaves there: a pipe that says
 * nothing and never closes. To wait for slow text, name it: `--prompt-file -`.
 */
async function pipedText(): Promise<string | undefined> {
  const stat = fstatSync(0)
  if (!(stat.isFile() || stat.isFIFO() || stat.isSocket())) return undefined
  const spoke = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), silentMillis)
    const heard = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    process.stdin.once("readable", heard)
    process.stdin.once("end", heard)
    process.stdin.once("error", heard)
  })
  if (!spoke) {
    process.stdin.destroy()
    const notice = "standard input is a pipe that says nothing: it is not waited for (--prompt-file - would)"
    process.stderr.write(`kvferry: ${notice}\n`)
    return undefined
  }
  const bytes = await buffer(process.stdin)
  return bytes.byteLength === 0
    ? undefined
    : (await import("../demo/prompts.ts")).promptText(bytes, "standard input")
}
