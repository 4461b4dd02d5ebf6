import { Command } from "commander"
import { nameList } from "./options.ts"

interface BenchFlags {
  readonly quick: boolean
  readonly json: boolean
  readonly record?: string
  readonly only?: string[]
  readonly jobs?: string[]
  readonly peers?: string
  readonly compiler: boolean
}

/** `kvferry bench record`: what this machine reaches, beside its ceilings and beside others, in many jobs. */
export function benchRecordCommand(): Command {
  return new Command("record")
    .description(
      "Measures kvferry's fabrics beside C ceilings and other engines, in many jobs, for a record.",
    )
    .option("--quick", "under a minute, with smaller jobs", false)
    .option(
      "--only <list>",
      "these fabrics and peers: shm, cma, tcp, libfabric (its tcp provider; only when named), nixl, mooncake",
      nameList,
    )
    .option("--jobs <list>", "these: kv, small, tiny, read, integrity, plan, idle, curves, engine", nameList)
    .option("--peers <python>", "a Python that has the peers (default: $KVFERRY_PEERS_PYTHON)")
    .option("--no-compiler", "measure against the FFI's ceilings, also where there is a C compiler")
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .option("--record <file>", "write the record to this page, with its figures and its picture beside it")
    .action(async ({ quick, json, record, only, jobs, peers, compiler }: BenchFlags) => {
      const { runBench } = await import("../bench/bench.ts")
      const { choose } = await import("../bench/choose.ts")
      const python = peers ?? (process.env["KVFERRY_PEERS_PYTHON"] || undefined)
      await runBench({ quick, json, record, python, compiler, ...choose(only, jobs) })
    })
}
