import { Command } from "commander"
import { benchInitiatorCommand } from "./bench-initiator.ts"
import { benchRecordCommand } from "./bench-record.ts"
import { benchTargetCommand } from "./bench-target.ts"
import { addLoadOptions, type LoadOptionValues } from "./load-options.ts"
import {
  addTransferEngineOptions,
  runTransferEngineBench,
  transferEngineFlags,
} from "./transfer-engine-options.ts"

const notes = `
Two processes of this machine, the ceiling beside them, and a table of ratios. Every byte is checked before, in and after the
run that is timed; who moved wrong bytes has no rate. See docs/bench.md for the method, and for two hosts:

  kvferry bench target --host ADDRESS                  on one
  kvferry bench initiator --target ADDRESS:15428       on the other

Options of Mooncake's transfer_engine_bench are understood as they are written there: --mode=target|initiator, --segment_id, ….

Exit codes: 0 measured, 1 wrong bytes, 2 wrong usage, 3 an engine could not run, 130 interrupted (what there is is printed).`

/** `kvferry bench`: a load between prefill and decode engines, as ratios. */
export function benchCommand(): Command {
  const bench = new Command("bench")
    .description(
      "Measures kvferry and other engines under one load, beside a ceiling, and checks every byte.",
    )
    // Options behind the name of a subcommand are that one's own.
    .enablePositionalOptions()
    .addHelpText("after", notes)
    .exitOverride()
    .action(async (values: LoadOptionValues & Readonly<Record<string, unknown>>) => {
      const mooncake = transferEngineFlags(values)
      if (mooncake !== undefined) return runTransferEngineBench(mooncake, values)
      const { onThisMachine } = await import("../judge/load/open-engines.ts")
      const { loadFlags } = await import("./load-options.ts")
      const { runBenchLoad } = await import("./run-bench-load.ts")
      await runBenchLoad(values, await loadFlags(values), onThisMachine)
    })
  addTransferEngineOptions(addLoadOptions(bench))
  for (const command of [benchTargetCommand(), benchInitiatorCommand(), benchRecordCommand()])
    bench.addCommand(command.exitOverride())
  return bench
}
