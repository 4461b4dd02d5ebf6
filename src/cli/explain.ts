import { Command, Option } from "commander"
import { KvError } from "../errors/kv-error.ts"
import type { ExplainRequest } from "../serve/explain.ts"
import type { Style } from "../terminal/style.ts"
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
  readonly local: boolean
  readonly timeout: number
  readonly json: boolean
}

const notes = `
Without PEER, or with --local, it tells what this machine can do: which paths open here, each NIC with its port, GID and
flags, and for what is missing, where it was looked for. Exit code 0 when a path opens, 3 when none does.

PEER is HOST:PORT of a worker's agent: the worker prints it when it is ready, the demo shows it, and GET /health of the
worker's HTTP port names it. Exit code 0 when a path is chosen and connects, 3 when not.`

/** `kvferry explain`: each way to a peer, whether it can be used and why, and which one is taken. */
export const explainCommand = (): Command => addRdmaOptions(plainCommand())

function plainCommand(): Command {
  return new Command("explain")
    .description("Asks a worker's agent who it is, and tells for each path whether it reaches it, and why.")
    .argument("[peer]", "HOST:PORT of the agent; this machine alone when left out")
    .option("--local", "this machine alone: what it has, and what is missing", false)
    .addOption(pathsOption())
    .addOption(requireOption("take nothing but these transports"))
    .addOption(encryptOption())
    .addOption(new Option("--secret-file <file>", "the cluster's secret").env("KVFERRY_SECRET_FILE"))
    .addOption(trustOption())
    .addOption(identityOption())
    .option("--timeout <seconds>", "patience with the handshake", wholeNumber(1, 60), 5)
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .addHelpText("after", notes)
    .action(async (peer: string | undefined, flags: Flags, command: Command) => {
      const { terminalJson } = await import("../terminal/one-line.ts")
      const { styleFor } = await import("../terminal/style.ts")
      const { rdmaConfig } = await import("../serve/rdma-config.ts")
      if (peer !== undefined && flags.local) throw contradiction(peer)
      const asked = {
        paths: flags.paths,
        ...(flags.require === undefined ? {} : { required: flags.require }),
        encryption: flags.encrypt,
        rdma: rdmaConfig(flags.paths, rdmaTexts(command)).settings,
      }
      const style = styleFor(process.stdout)
      const { report, lines, good } =
        peer === undefined ? await ofMachine(asked) : await ofPeer(peer, asked, flags)
      process.stdout.write(`${flags.json ? terminalJson(report) : lines(style).join("\n")}\n`)
      process.exitCode = good ? 0 : 3
    })
}

type Asked = Omit<ExplainRequest, "credentials" | "timeoutMillis">

/** What was found, how it is told, and whether it is what one hopes for. */
interface Answer {
  readonly report: unknown
  readonly lines: (style: Style) => string[]
  readonly good: boolean
}

async function ofPeer(peer: string, asked: Asked, flags: Flags): Promise<Answer> {
  const { credentialsFrom } = await import("../serve/credentials.ts")
  const { explain } = await import("../serve/explain.ts")
  const { explanationLines } = await import("./explanation-text.ts")
  const credentials = credentialsFrom(flags)
  const report = await explain(peer, { ...asked, credentials, timeoutMillis: flags.timeout * 1000 })
  return { report, lines: (style) => explanationLines(report, style), good: report.chosen !== null }
}

async function ofMachine(asked: Asked): Promise<Answer> {
  const { explainLocal } = await import("../serve/explain-local.ts")
  const { localLines } = await import("./local-text.ts")
  const report = await explainLocal(asked)
  return { report, lines: (style) => localLines(report, style), good: report.paths.some(({ open }) => open) }
}

const contradiction = (peer: string): KvError =>
  new KvError("KV_USAGE", {
    what: `--local was given, and the peer ${JSON.stringify(peer.slice(0, 60))} too`,
    next: "leave out one of them",
  })
