import { resolve } from "node:path"
import { Command, Option } from "commander"
import { KvError } from "../errors/kv-error.ts"
import type { ReceiptFilter } from "../receipt/receipt-filter.ts"
import { interruption } from "./lifetime.ts"
import { nameList, wholeNumber } from "./options.ts"
import { momentMillis, spanMicros } from "./time-options.ts"

interface Flags {
  readonly follow: boolean
  readonly last: number
  readonly request?: string
  readonly trace?: string
  readonly state?: string[]
  readonly verdict?: string[]
  readonly transport?: string[]
  readonly peer?: string
  readonly since?: number
  readonly slower?: number
  readonly dir?: string
  readonly json: boolean
}

const notes = `
All conditions must hold; a LIST has commas. --json prints one document, an array, oldest first.
With --follow it prints one JSON object per line instead, until Ctrl-C (exit code 130).`

/** `kvferry receipts`: the evidence of finished transfers, from the files that workers leave. */
export function receiptsCommand(): Command {
  return new Command("receipts")
    .description("Shows the receipts of finished transfers of this machine, and follows new ones.")
    .option("-f, --follow", "go on with those that come, until Ctrl-C", false)
    .option("--last <n>", "how many of those that match are shown, or all", countOrAll, 50)
    .option("--request <id>", "of this request: its id, or how it begins")
    .option("--trace <id>", "of this trace: its id or traceparent, or how it begins")
    .option("--state <list>", "that ended so: delivered, failed, cancelled, expired", nameList)
    .option("--verdict <list>", "found so: identical, current, different, reused, unchecked", nameList)
    .option("--transport <list>", "that took this path", nameList)
    .option("--peer <agent>", "with this agent on either side")
    .option("--since <when>", "not older than a span (90s, 10m, 2h, 1d) or a time (ISO 8601)", (text) =>
      momentMillis(text),
    )
    .option("--slower <span>", "that took longer in all: microseconds, or 10ms, 1s", spanMicros)
    .addOption(
      new Option("--dir <folder>", "where the receipts are")
        .env("KVFERRY_RECEIPTS")
        .default(undefined, "receipts in KVFERRY_HOME, or ~/.kvferry"),
    )
    .option("--json", "print JSON on standard output, and nothing else there", false)
    .addHelpText("after", notes)
    .action(async (flags: Flags) => {
      const { ticketEnds } = await import("../receipt/read-receipt.ts")
      const { verdicts } = await import("../receipt/receipt.ts")
      const { defaultReceiptFolder } = await import("../serve/home.ts")
      const { showReceipts } = await import("./show-receipts.ts")
      checkNames("--state", flags.state, ticketEnds)
      checkNames("--verdict", flags.verdict, verdicts)
      const named = flags.dir === undefined || flags.dir === "off" ? undefined : resolve(flags.dir)
      process.exitCode = await showReceipts({
        folder: named ?? defaultReceiptFolder(),
        named: named !== undefined,
        follow: flags.follow,
        last: flags.last,
        json: flags.json,
        filter: filterOf(flags),
        interrupted: interruption(),
      })
    })
}

/** Only what was asked for: a condition that is absent is none. */
function filterOf(flags: Flags): ReceiptFilter {
  const { request, trace, state, verdict, transport, peer, since, slower } = flags
  return {
    ...(request === undefined ? {} : { request }),
    ...(trace === undefined ? {} : { trace }),
    ...(state === undefined ? {} : { states: state }),
    ...(verdict === undefined ? {} : { verdicts: verdict }),
    ...(transport === undefined ? {} : { transports: transport }),
    ...(peer === undefined ? {} : { peer }),
    ...(since === undefined ? {} : { sinceMillis: since }),
    ...(slower === undefined ? {} : { slowerMicros: slower }),
  }
}

const countOrAll = (text: string): number =>
  text === "all" ? Number.POSITIVE_INFINITY : wholeNumber(1, 1_000_000)(text)

/** A name that does not exist would match nothing, silently. */
function checkNames(option: string, names: readonly string[] | undefined, allowed: readonly string[]): void {
  for (const name of names ?? []) {
    if (!allowed.includes(name)) {
      throw new KvError("KV_USAGE", {
        what: `there is no ${option.slice(2)} ${JSON.stringify(name.slice(0, 40))}`,
        next: `${option} takes a list of: ${allowed.join(", ")}`,
      })
    }
  }
}
