import { resolve } from "node:path"
import { Command, Option } from "commander"
import { type IntegrityLevel, integrityLevels } from "../receipt/receipt.ts"
import { harmless } from "../terminal/style.ts"
import type { Encryption } from "../transport/tcp/tcp.ts"
import type { FaultRequest } from "../verify/faults.ts"
import { announceReady, untilEnded } from "./lifetime.ts"
import {
  bundledModel,
  contextHelp,
  encryptOption,
  faultOption,
  identityOption,
  pathsOption,
  portNumber,
  requireOption,
  trustOption,
  wholeNumber,
} from "./options.ts"
import { addRdmaOptions, rdmaTexts } from "./rdma-options.ts"

interface Flags {
  readonly role: "prefill" | "decode"
  readonly model: string
  readonly context?: number
  readonly host: string
  readonly advertise?: string
  readonly port: number
  readonly agentPort: number
  readonly blocks?: number
  readonly blockTokens: number
  readonly order: "head-major" | "token-major"
  readonly paths: string[]
  readonly require?: string[]
  readonly encrypt: Encryption
  readonly receipts?: string
  readonly rails: number
  readonly integrity: IntegrityLevel
  readonly integrityFloor: IntegrityLevel
  readonly hold: number
  readonly lease: number
  readonly timeout: number
  readonly secretFile?: string
  readonly trust?: string
  readonly identity?: string
  readonly inject?: { readonly request: FaultRequest }
  readonly injectAt: "landing" | "pool"
  readonly leash: boolean
}

/** `kvferry worker`: one half of a served model in a process of its own. */
export const workerCommand = (): Command => addRdmaOptions(plainCommand())

function plainCommand(): Command {
  return new Command("worker")
    .description(
      "Runs a prefill or a decode worker: a model, its paged KV pool, and the agent that moves blocks.",
    )
    .addOption(
      new Option("--role <role>", "which half of a request it does")
        .choices(["prefill", "decode"])
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--model <dir>", "model folder in the Hugging Face layout")
        .env("KVFERRY_MODEL")
        .default(bundledModel, "the bundled model"),
    )
    .option("--context <tokens>", contextHelp, wholeNumber(16, 2 ** 20))
    .addOption(
      new Option("--host <address>", "address of its ports").env("KVFERRY_HOST").default("127.0.0.1"),
    )
    .option("--advertise <address>", "address that peers are told, when it differs from --host")
    .option("--port <port>", "HTTP port; 0 takes a free one", portNumber, 0)
    .option("--agent-port <port>", "the agent's port; 0 takes a free one", portNumber, 0)
    .option("--blocks <n>", "blocks of the pool (default: four full contexts)", wholeNumber(1, 2 ** 24))
    .option("--block-tokens <n>", "tokens of a block", wholeNumber(1, 1024), 16)
    .addOption(
      new Option("--order <order>", "layout of a block")
        .choices(["head-major", "token-major"])
        .default("head-major"),
    )
    .addOption(pathsOption())
    .addOption(requireOption("refuse to start or connect over anything but these transports"))
    .option("--rails <n>", "streams of tcp to each peer; RDMA has a rail for each NIC", wholeNumber(1, 16), 1)
    .addOption(
      new Option("--integrity <level>", "how much of a transfer is checked")
        .choices(integrityLevels)
        .default("full"),
    )
    .addOption(
      new Option("--integrity-floor <level>", "the least that any transfer is checked, whoever asks")
        .choices(integrityLevels)
        .default("none"),
    )
    .option(
      "--hold <seconds>",
      "how long a reader may be silent before its blocks are taken back",
      wholeNumber(1, 3600),
      10,
    )
    .option("--lease <seconds>", "how long blocks wait for their reader", wholeNumber(1, 86_400), 60)
    .option("--timeout <seconds>", "deadline of a transfer", wholeNumber(1, 3600), 30)
    .addOption(new Option("--secret-file <file>", "the cluster's secret").env("KVFERRY_SECRET_FILE"))
    .addOption(trustOption())
    .addOption(identityOption())
    .addOption(encryptOption())
    .addOption(
      new Option("--receipts <dir>", "folder that takes a receipt of each transfer, or off")
        .env("KVFERRY_RECEIPTS")
        .default(undefined, "receipts in KVFERRY_HOME, or ~/.kvferry"),
    )
    .addOption(
      new Option(
        "--inject <fault>",
        "damage the pool behind each transfer: FAULT[:layer,block,head]",
      ).argParser(faultOption),
    )
    .addOption(
      new Option("--inject-at <moment>", "before the proof, or after it")
        .choices(["landing", "pool"])
        .default("pool"),
    )
    .addOption(new Option("--leash", "end when standard input closes").hideHelp())
    .action(async (flags: Flags, command: Command) => {
      const { openWorker } = await import("../serve/worker/worker.ts")
      const { serveWorker } = await import("../serve/worker/http.ts")
      const { servedContext } = await import("../serve/served-context.ts")
      const { bearerOf, readSecret } = await import("../serve/secret.ts")
      const { credentialsFrom } = await import("../serve/credentials.ts")
      const { defaultReceiptFolder } = await import("../serve/home.ts")
      const { rdmaConfig } = await import("../serve/rdma-config.ts")
      const warn = (text: string): void => void process.stderr.write(`kvferry: ${harmless(text)}\n`)
      const { settings: rdma, warnings } = rdmaConfig(flags.paths, rdmaTexts(command))
      for (const warning of warnings) warn(warning)
      const receipts = flags.receipts ?? defaultReceiptFolder()
      const bearer = bearerOf(readSecret(flags.secretFile))
      await using worker = await openWorker({
        role: flags.role,
        source: {
          kind: "directory",
          directory: flags.model,
          contextTokens: servedContext(flags.model, flags.context),
        },
        credentials: credentialsFrom(flags),
        host: flags.host,
        ...(flags.advertise === undefined ? {} : { advertise: flags.advertise }),
        agentPort: flags.agentPort,
        ...(flags.blocks === undefined ? {} : { blocks: flags.blocks }),
        blockTokens: flags.blockTokens,
        order: flags.order,
        paths: flags.paths,
        ...(flags.require === undefined ? {} : { required: flags.require }),
        encryption: flags.encrypt,
        rdma,
        ...(receipts === "off" ? {} : { receipts: resolve(receipts) }),
        warn,
        rails: flags.rails,
        integrity: flags.integrity,
        integrityFloor: flags.integrityFloor,
        holdMillis: flags.hold * 1000,
        leaseMillis: flags.lease * 1000,
        transferMillis: flags.timeout * 1000,
        ...(flags.inject === undefined
          ? {}
          : { inject: { request: flags.inject.request, at: flags.injectAt } }),
      })
      const options = { host: flags.host, port: flags.port, bearer }
      await using port = await serveWorker(worker, options)
      const host = port.host.includes(":") ? `[${port.host}]` : port.host
      announceReady({
        role: flags.role,
        url: `http://${host}:${port.port}`,
        agent: worker.agentAddress,
        ...worker.party,
      })
      await untilEnded(flags)
    })
}
