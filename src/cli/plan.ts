import { Command, Option } from "commander"
import type { ForecastJob } from "../plan/forecast.ts"
import { jobOfLayout, namedJobs } from "../plan/forecast-jobs.ts"
import { type MachineFigures, machineFigures } from "../plan/machine-figures.ts"
import { numberBetween, wholeNumber } from "./options.ts"

interface Flags {
  readonly machine: string
  readonly job: string
  readonly layers?: number
  readonly blocks?: number
  readonly blockBytes?: number
  readonly rails?: number
  readonly gigabits?: number
  readonly hostGigabytes?: number
  readonly requestMicros?: number
  readonly doorbellMicros?: number
  readonly sliceBytes: number
  readonly queueDepth: number
  readonly compare?: string
  readonly json: boolean
}

const notes = `
Machines: ${machineFigures.map(({ name }) => name).join(", ")}.
Jobs: ${Object.entries(namedJobs)
  .map(
    ([name, { layers, blocks, blockBytes }]) =>
      `${name} (${layers} × ${blocks} blocks of ${blockBytes} bytes)`,
  )
  .join(", ")}.
--compare takes a record of kvferry bench record or a receipt; with a receipt, its pieces and bytes are the job.
Everything is computed; nothing is opened, and no NIC is needed.`

/** `kvferry plan`: what a transfer would take on a machine, and what bounds it. */
export function planCommand(): Command {
  return new Command("plan")
    .description(
      "Computes what a transfer would take on a machine: work for each rail, time, and what bounds it.",
    )
    .addOption(
      new Option("--machine <name>", "whose NICs and memory")
        .choices(machineFigures.map(({ name }) => name))
        .makeOptionMandatory(),
    )
    .addOption(new Option("--job <name>", "what moves").choices(Object.keys(namedJobs)).default("kv"))
    .option("--layers <n>", "in place of the job's", wholeNumber(1, 10_000))
    .option("--blocks <n>", "that move in each layer, in place of the job's", wholeNumber(1, 100_000))
    .option("--block-bytes <n>", "of a block in one layer, in place of the job's", wholeNumber(1, 2 ** 30))
    .option("--rails <n>", "NICs that are used, in place of all", wholeNumber(1, 64))
    .option("--gigabits <n>", "line rate of a NIC, in place of the machine's", numberBetween(0.001, 100_000))
    .option(
      "--host-gigabytes <n>",
      "GB/s of host memory, in place of the machine's",
      numberBetween(0.001, 1e6),
    )
    .option(
      "--request-micros <n>",
      "processor time of a work request: your own figure",
      numberBetween(0, 1e6),
    )
    .option("--doorbell-micros <n>", "processor time of a doorbell: your own figure", numberBetween(0, 1e6))
    .option("--slice-bytes <n>", "pieces longer than this are cut", wholeNumber(4096, 2 ** 30), 1_048_576)
    .option("--queue-depth <n>", "work requests outstanding on a lane", wholeNumber(1, 65_535), 256)
    .option("--compare <file>", "also what a run took: a record of the bench, or a receipt")
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .addHelpText("after", notes)
    .action(async (flags: Flags) => {
      const { forecast } = await import("../plan/forecast.ts")
      const { forecastLines } = await import("./forecast-text.ts")
      const { readMeasured } = await import("./measured.ts")
      const { terminalJson } = await import("../terminal/one-line.ts")
      const { styleFor } = await import("../terminal/style.ts")
      const figures = machineOf(flags)
      const measured = flags.compare === undefined ? undefined : readMeasured(flags.compare, flags.job)
      const computed = forecast(measured?.job ?? jobOf(flags), figures, flags)
      const compared = (measured?.runs ?? []).map((run) => ({
        ...run,
        timesExpected: run.micros / computed.expectedMicros,
      }))
      const report = { schema: "kvferry/plan/1" as const, ...computed, figures, compared }
      const text = flags.json
        ? terminalJson(report)
        : forecastLines(report, styleFor(process.stdout)).join("\n")
      process.stdout.write(`${text}\n`)
    })
}

function jobOf(flags: Flags): ForecastJob {
  const sizes = namedJobs[flags.job]!
  const given = { layers: flags.layers, blocks: flags.blocks, blockBytes: flags.blockBytes }
  const own = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  return jobOfLayout(Object.keys(own).length === 0 ? flags.job : "your own", { ...sizes, ...own })
}

/** The machine with what was said of it in its place: each such figure is its teller's. */
function machineOf(flags: Flags): MachineFigures {
  const machine = machineFigures.find(({ name }) => name === flags.machine)!
  const told = (value: number, option: string) => ({ value, source: `given: --${option}` })
  return {
    ...machine,
    ...(flags.rails === undefined ? {} : { nics: told(flags.rails, "rails") }),
    ...(flags.gigabits === undefined
      ? {}
      : { bytesPerSecondOfNic: told(flags.gigabits * 125_000_000, "gigabits") }),
    ...(flags.hostGigabytes === undefined
      ? {}
      : { hostBytesPerSecond: told(flags.hostGigabytes * 1e9, "host-gigabytes") }),
    ...(flags.requestMicros === undefined
      ? {}
      : { microsOfRequest: told(flags.requestMicros, "request-micros") }),
    ...(flags.doorbellMicros === undefined
      ? {}
      : { microsOfDoorbell: told(flags.doorbellMicros, "doorbell-micros") }),
  }
}
