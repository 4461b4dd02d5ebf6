import { basename, resolve } from "node:path"
import { Command, Option } from "commander"
import { announceReady, untilEnded } from "./lifetime.ts"
import { jsonLog, type LogLevel } from "./log.ts"
import { bundledModel, collect, contextHelp, portNumber, wholeNumber } from "./options.ts"

interface Flags {
  readonly model: string
  readonly modelName?: string
  readonly context?: number
  readonly host: string
  readonly port: number
  readonly prefill: string[]
  readonly decode: string[]
  readonly secretFile?: string
  readonly log: LogLevel
  readonly leash: boolean
}

/** `kvferry frontend`: the OpenAI-compatible port before prefill and decode workers. */
export function frontendCommand(): Command {
  return new Command("frontend")
    .description("Runs the OpenAI-compatible HTTP port in front of prefill and decode workers.")
    .addOption(
      new Option("--model <dir>", "model folder: its tokeniser and chat template")
        .env("KVFERRY_MODEL")
        .default(bundledModel, "the bundled model"),
    )
    .option("--context <tokens>", contextHelp, wholeNumber(16, 2 ** 20))
    .option("--model-name <name>", "name that clients ask for (default: the folder's name)")
    .addOption(new Option("--host <address>", "address of the port").env("KVFERRY_HOST").default("127.0.0.1"))
    .addOption(
      new Option("--port <port>", "port; 0 takes a free one")
        .env("KVFERRY_PORT")
        .argParser(portNumber)
        .default(8000),
    )
    .requiredOption("--prefill <url>", "a prefill worker; may be repeated", collect)
    .requiredOption("--decode <url>", "a decode worker; may be repeated", collect)
    .addOption(new Option("--secret-file <file>", "the cluster's secret").env("KVFERRY_SECRET_FILE"))
    .addOption(
      new Option(
        "--log <level>",
        "what is logged, as JSON on standard error: nothing, failures, each request",
      )
        .choices(["silent", "warn", "info"])
        .default("warn"),
    )
    .addOption(new Option("--leash", "end when standard input closes").hideHelp())
    .action(async (flags: Flags) => {
      const { openFrontend } = await import("../serve/frontend/frontend.ts")
      const { bearerOf, readSecret } = await import("../serve/secret.ts")
      const { readModelFace } = await import("../serve/model-face.ts")
      const face = readModelFace(flags.model, flags.context)
      const frontend = await openFrontend({
        host: flags.host,
        port: flags.port,
        prefill: flags.prefill,
        decode: flags.decode,
        secret: bearerOf(readSecret(flags.secretFile)),
        ...face,
        modelName: flags.modelName ?? basename(resolve(flags.model)),
        log: jsonLog(flags.log),
      })
      announceReady({ url: frontend.url })
      await untilEnded(flags)
      await frontend.close()
    })
}
