import { Command } from "commander"

const notes = `
PEER is NAME or NAME==VERSION: nixl, nixl==0.6.1, mooncake. Without a version it is the newest.

  kvferry peers install nixl mooncake     the newest of both
  kvferry peers install nixl==0.6.1       one more beside it
  kvferry peers list                      what is installed, and which of its paths load here
  kvferry peers remove nixl==0.6.1

Each version gets an environment of its own, in kvferry/peers below XDG_CACHE_HOME or ~/.cache. The packages come
through pip as it is configured for you. An engine's packages are programs of others, and run as you when it is
judged or measured: nothing is installed that was not named here.

KVFERRY_LIBFABRIC names a libfabric for NIXL's LIBFABRIC backend, KVFERRY_PEERS_PYTHON a Python of yours that has peers.`

interface InstallFlags {
  readonly python: string
  readonly json: boolean
}

/** `kvferry peers`: the engines of others that `verify` and `bench` can drive. */
export function peersCommand(): Command {
  const peers = new Command("peers")
    .description(
      "Installs, lists and removes other engines (NIXL, Mooncake) that kvferry judges and measures.",
    )
    .addHelpText("after", notes)
  peers
    .command("install")
    .description("Installs peers from PyPI, each in an environment of its own.")
    .argument("<peer...>", "NAME or NAME==VERSION")
    .option("--python <python>", "the Python that environments are made with", "python3")
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .exitOverride()
    .action(async (names: string[], flags: InstallFlags) => {
      const { installPeers } = await import("./install-peers.ts")
      await installPeers(names, flags)
    })
  peers
    .command("list")
    .description("Lists the installed peers, and which of their paths load here.")
    .option("--json", "print one JSON document on standard output, and nothing else there", false)
    .exitOverride()
    .action(async ({ json }: { readonly json: boolean }) => {
      const { listPeers } = await import("./list-peers.ts")
      await listPeers(json)
    })
  peers
    .command("remove")
    .description("Removes installed peers.")
    .argument("[peer...]", "NAME==VERSION, or NAME for all its versions")
    .option("--all", "everything that was installed, and what was left half made", false)
    .exitOverride()
    .action(async (names: string[], { all }: { readonly all: boolean }) => {
      const { removePeers } = await import("./remove-peers.ts")
      removePeers(names, all)
    })
  return peers
}
