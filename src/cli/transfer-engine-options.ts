import { type Command, Option } from "commander"
import type { TransferEngineFlags } from "../judge/load/transfer-engine-bench.ts"
import type { LoadDocument } from "../judge/load-document.ts"
import type { LoadOptionValues } from "./load-options.ts"

/** Flags of Mooncake's bench that ours has not under the same name. Those without a value may have one. */
const withValue = [
  "mode",
  "segment_id",
  "metadata_server",
  "local_server_name",
  "protocol",
  "device_name",
  "operation",
  "block_size",
  "batch_size",
  "buffer_size",
  "report_unit",
  "report_precision",
  "nic_priority_matrix",
  "backend",
  "gpu_id",
] as const
const switches = ["auto_discovery", "use_vram", "init_mem"] as const

/** Adds the flags of `transfer_engine_bench`, as they are written there; the page of the command tells of them. */
export function addTransferEngineOptions(command: Command): Command {
  for (const name of withValue) command.addOption(new Option(`--${name} <value>`).hideHelp())
  for (const name of switches) {
    command.addOption(new Option(`--${name} [on]`).hideHelp())
    // gflags has it like that, and commander takes "--no-" with a dash for its own.
    command.addOption(new Option(`--no${name}`).hideHelp())
  }
  return command
}

/** Those flags, when one of them was given: the whole command line is then Mooncake's. */
export function transferEngineFlags(
  values: Readonly<Record<string, unknown>>,
): TransferEngineFlags | undefined {
  const names = [...withValue, ...switches].filter((name) => values[name] !== undefined)
  return names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [name, values[name]]))
}

/** Runs a command line of `transfer_engine_bench`. @throws KvError as the target and the initiator. */
export async function runTransferEngineBench(
  given: TransferEngineFlags,
  values: LoadOptionValues,
): Promise<void> {
  const { translateTransferEngineBench, completedLine } = await import(
    "../judge/load/transfer-engine-bench.ts"
  )
  const { threads, duration, engines, paths, devices } = values
  const bench = translateTransferEngineBench(given, { threads, duration, engines, paths, devices })
  if (bench.mode === "target") {
    const { runBenchTarget } = await import("./bench-target.ts")
    return runBenchTarget({ host: bench.host, port: bench.port, leash: false })
  }
  const { initiate } = await import("./bench-initiator.ts")
  const { target, flags, notes } = bench
  const completed = ({ results }: LoadDocument): string[] =>
    results.flatMap(({ engine, role, bytesPerSecond }) =>
      role === "ceiling" || bytesPerSecond === undefined
        ? []
        : [completedLine(engine, bytesPerSecond.median, bench)],
    )
  await initiate(values, { ...flags, rounds: values.rounds, seed: values.seed, target, notes }, {}, completed)
}
