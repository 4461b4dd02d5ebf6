import { Command, Option } from "commander"
import type { Encryption } from "../transport/tcp/tcp.ts"
import {
  encryptOption,
  identityOption,
  pathsOption,
  requireOption,
  trustOption,
  wholeNumber,
} from "./options.ts"
import { addRdmaOptions, rdmaTexts } from "./rdma-options.ts"

interface Flags {
  readonly paths: string[]
  readonly require?: string[]
  readonly encrypt: Encryption
  readonly secretFile?: string
  readonly trust?: string
  readonly identity?: string
  readonly timeout: number
  readonly json: boolean
}

const notes = `
PEER is HOST:PORT of a worker's agent: the worker prints it when it is ready, the demo shows it, and GET /health of the
worker's HTTP port names it. Exit code 0 when a path is chosen and connects, 3 when not.`

/** `kvferry explain`: each way to a peer, whether it can be used and why, and which one is taken. */
export const explainCommand = (): Command => addRdmaOptions(plainCommand())

function plainCommand(): Command {
  return new Command("explain")
    .description("Asks a worker's agent who it is, and tells for each path whether it reaches it, and why.")
    .argument("<peer>", "HOST:PORT of the agent")
    .addOption(pathsOption())
    .addOption(requireOption("take nothing but these transports"))
    .addOption(encryptOption())
    .addOption(new Option("--secret-file <file>", "the cluster's secret").env("KVFERRY_SECRET_FILE"))
    .addOption(trustOption())
    .addOption(identityOption())
    .option("--timeout <seconds>", "patience with the handshake", wholeNumber(1, 60), 5)
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .addHelpText("after", notes)
    .action(async (peer: string, flags: Flags, command: Command) => {
      const { credentialsFrom } = await import("../serve/credentials.ts")
      const { explain } = await import("../serve/explain.ts")
      const { rdmaConfig } = await import("../serve/rdma-config.ts")
      const { explanationLines } = await import("./explanation-text.ts")
      const { terminalJson } = await import("../terminal/one-line.ts")
      const { styleFor } = await import("../terminal/style.ts")
      const report = await explain(peer, {
        paths: flags.paths,
        ...(flags.require === undefined ? {} : { required: flags.require }),
        encryption: flags.encrypt,
        rdma: rdmaConfig(flags.paths, rdmaTexts(command)).settings,
        credentials: credentialsFrom(flags),
        timeoutMillis: flags.timeout * 1000,
      })
      const text = flags.json
        ? terminalJson(report)
        : explanationLines(report, styleFor(process.stdout)).join("\n")
      process.stdout.write(`${text}\n`)
      process.exitCode = report.chosen === null ? 3 : 0
    })
}
