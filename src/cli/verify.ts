import { Command, Option } from "commander"
import { interruption } from "./lifetime.ts"
import { nameList, wholeNumber } from "./options.ts"
import { addPeerOptions } from "./peer-options.ts"
import type { VerifyFlags } from "./verify-engines.ts"

const notes = `
ENGINE is NAME, NAME:PATH or NAME==VERSION:PATH: kvferry, kvferry:tcp, nixl:UCX, nixl==0.6.1:LIBFABRIC, mooncake:tcp.
Others than kvferry are installed first: kvferry peers install nixl mooncake, or --install

  kvferry verify                                      kvferry, over each path that is open here
  kvferry verify --install --engines kvferry,nixl:UCX side by side
  kvferry verify --suites faults --cases '*killed*'   some cases
  kvferry verify --seed 7 --long                      other bytes, other blocks, more of them

Exit codes: 0 all asked cases passed (one that an engine does not support is counted, and is no failure), 1 something
failed, 2 wrong usage, 3 an engine that was asked for does not run here or supports none of the cases, 130 interrupted.`

/** `kvferry verify`: does an engine move the bytes that it was asked for, whatever happens? */
export function verifyCommand(): Command {
  const command = new Command("verify")
    .description(
      "Puts transfer engines through one suite of cases, looks at every byte itself, and says what went wrong.",
    )
    .option(
      "--engines <list>",
      "engines, separated by commas (default: kvferry over each path that is open here)",
      nameList,
    )
    .option("--suites <list>", "only these suites", nameList)
    .option(
      "--cases <patterns>",
      "only cases whose ids fit: '*' stands for anything, several by commas",
      nameList,
    )
    .option("--list", "list the cases and what each is for, and run none", false)
    .option("--seed <n>", "decides bytes, blocks and sizes", wholeNumber(0, 2 ** 32 - 1), 1)
    .addOption(new Option("--quick", "fewer rounds of each case").conflicts("long"))
    .option("--long", "ten times the rounds: a soak")
    .option("--fail-fast", "stop at the first case that fails", false)
    .option("--all", "go on also when the first cases have all failed with wrong bytes", false)
    .option("--json [file]", "the record as JSON: into a file, or on standard output and nothing else there")
    .option("--junit <file>", "write JUnit XML, for CI")
    .option("--report <file>", "write an HTML page")
    .option("--bundle <file>", "write the evidence as a .tar.gz, redacted, for an issue report")
    .addHelpText("after", notes)
    .action(async (flags: VerifyFlags) => {
      const { verify } = await import("./verify-engines.ts")
      process.exitCode = await verify({ ...flags, interrupted: interruption() })
    })
  return addPeerOptions(command)
}
