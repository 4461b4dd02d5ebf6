import { Command } from "commander"
import { pathsOption } from "./options.ts"
import { addRdmaOptions, rdmaTexts } from "./rdma-options.ts"

interface Flags {
  readonly paths: string[]
  readonly origin: boolean
  readonly json: boolean
}

const notes = `
An option goes before a KVFERRY_ variable, that before another program's (MC_, NCCL_, NIXL_, FI_), and that before the
default. Give the options of a worker to see what it would use. Exit code 2 when a value cannot be read.`

/** `kvferry config`: what would be used here, and where each value comes from. */
export function configCommand(): Command {
  const show = new Command("show")
    .description("Prints the settings of RDMA, the environment of its libraries, and what is set in vain.")
    .option("--origin", "also where each value came from, and what would set it", false)
    .addOption(pathsOption())
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .addHelpText("after", notes)
    .exitOverride()
    .action(async (flags: Flags, command: Command) => {
      const { configReport } = await import("../config/config-report.ts")
      const { configLines } = await import("./config-text.ts")
      const { terminalJson } = await import("../terminal/one-line.ts")
      const { styleFor } = await import("../terminal/style.ts")
      const report = configReport(process.env, { paths: flags.paths, options: rdmaTexts(command) })
      const text = flags.json
        ? terminalJson(report)
        : configLines(report, styleFor(process.stdout), flags.origin).join("\n")
      process.stdout.write(`${text}\n`)
      process.exitCode = report.problems.length === 0 ? 0 : 2
    })
  return new Command("config")
    .description("Shows the configuration of this environment.")
    .addCommand(addRdmaOptions(show))
}
