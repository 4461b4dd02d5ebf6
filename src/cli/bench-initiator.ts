import { Command } from "commander"
import type { LoadFlags } from "../judge/load/load-request.ts"
import type { LoadDocument } from "../judge/load-document.ts"
import type { CredentialFiles } from "../serve/credentials.ts"
import { benchSecretOption } from "./bench-target.ts"
import { addLoadOptions, type LoadOptionValues, loadFlags } from "./load-options.ts"
import { identityOption, trustOption } from "./options.ts"

interface InitiatorValues extends LoadOptionValues, CredentialFiles {
  readonly target: string
}

/** `kvferry bench initiator`: the side of a bench between two hosts that posts, measures and prints. */
export function benchInitiatorCommand(): Command {
  const command = new Command("initiator")
    .description("Measures a load between this host and a kvferry bench target on another one.")
    .requiredOption("--target <host:port>", "where kvferry bench target listens")
    .addOption(benchSecretOption())
    .addOption(trustOption())
    .addOption(identityOption())
    .action(async (values: InitiatorValues) =>
      initiate(values, await loadFlags(values, values.target), values, () => []),
    )
  return addLoadOptions(command)
}

/** Calls the target that the flags name, and runs the load with it. @throws KvError as `dialTarget`, and KV_USAGE before. */
export async function initiate(
  values: LoadOptionValues,
  flags: LoadFlags,
  files: CredentialFiles,
  last: (document: LoadDocument) => readonly string[],
): Promise<void> {
  const { loadRequest } = await import("../judge/load/load-request.ts")
  const { dialTarget } = await import("../judge/load/far/dial-target.ts")
  const { credentialsFrom } = await import("../serve/credentials.ts")
  const { runBenchLoad } = await import("./run-bench-load.ts")
  // What contradicts itself is told before anybody is called.
  const { op, target } = loadRequest(flags)
  await using placement = await dialTarget(target ?? "", { credentials: credentialsFrom(files), op })
  await runBenchLoad(values, flags, placement, last)
}
