import { Command, Option } from "commander"
import { benchPort } from "../judge/load/transfer-engine-bench.ts"
import { announceReady, untilEnded } from "./lifetime.ts"
import { identityOption, portNumber, trustOption } from "./options.ts"

interface Flags {
  readonly host: string
  readonly port: number
  readonly secretFile?: string
  readonly trust?: string
  readonly identity?: string
  readonly leash: boolean
}

const notes = `
It waits for kvferry bench initiator, runs its half of the engines, and looks at the bytes in its own memory. A caller that does not
know the cluster's secret (or whose key is not trusted) learns nothing. Beyond this machine it listens only with --host.`

/** `--secret-file FILE`, for both sides of a bench. */
export const benchSecretOption = (): Option =>
  new Option("--secret-file <file>", "the cluster's secret (default: ~/.kvferry/secret)").env(
    "KVFERRY_SECRET_FILE",
  )

/** `kvferry bench target`: the far side of a bench. */
export function benchTargetCommand(): Command {
  return new Command("target")
    .description("Waits for kvferry bench initiator on another host, and is the far side of its bench.")
    .option("--host <address>", "numeric address to listen on", "127.0.0.1")
    .option("--port <port>", "port; 0 takes a free one", portNumber, benchPort)
    .addOption(benchSecretOption())
    .addOption(trustOption())
    .addOption(identityOption())
    .addOption(new Option("--leash", "end when standard input closes").hideHelp().default(false))
    .addHelpText("after", notes)
    .action(runBenchTarget)
}

/** Waits for initiators until it is interrupted. @throws KvError KV_PORT_IN_USE, KV_USAGE. */
export async function runBenchTarget(flags: Flags): Promise<void> {
  const { BenchTarget } = await import("../judge/load/far/bench-target.ts")
  const { credentialsFrom } = await import("../serve/credentials.ts")
  const { oneLine } = await import("../terminal/one-line.ts")
  await using target = await BenchTarget.open({
    host: flags.host,
    port: flags.port,
    credentials: credentialsFrom(flags),
    onEvent: (text) => process.stderr.write(`kvferry bench target: ${oneLine(text, 400)}\n`),
  })
  announceReady({ address: `${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}` })
  await untilEnded(flags)
}
