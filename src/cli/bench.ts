import { Command } from "commander"

/** `kvferry bench`: what this machine reaches, beside its ceiling. */
export function benchCommand(): Command {
  return new Command("bench")
    .description("Measures the engine, the plan, and the tcp transport beside a plain sendmsg/recvmsg loop.")
    .option("--quick", "a few seconds in place of a minute", false)
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .action(async (flags: { readonly quick: boolean; readonly json: boolean }) => {
      const { runBench } = await import("../bench/bench.ts")
      await runBench(flags)
    })
}
