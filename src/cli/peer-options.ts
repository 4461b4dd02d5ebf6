import { type Command, Option } from "commander"
import type { EngineSpec } from "../judge/engine-spec.ts"

/** What a user said of the engines of others. */
export interface PeerFlags {
  readonly install?: boolean
  readonly libfabric?: string
}

const libfabricVariable = "KVFERRY_LIBFABRIC"

/** Adds the options of commands that drive engines of others. */
export const addPeerOptions = (command: Command): Command =>
  command
    .option("--install", "install those of the named engines that are missing first (kvferry peers install)")
    .addOption(
      new Option("--libfabric <file>", "the libfabric that NIXL's LIBFABRIC loads").env(libfabricVariable),
    )

/**
 * Does what they ask for, before anything is started.
 * @throws KvError KV_USAGE for a libfabric that is no file; as `installPeer` for a peer that cannot be installed.
 */
export async function preparePeers(
  engines: readonly EngineSpec[],
  { install, libfabric }: PeerFlags,
  signal: AbortSignal,
): Promise<void> {
  if (libfabric !== undefined && libfabric !== "") {
    const { checkLibraryFile } = await import("../judge/peers/driver-start.ts")
    checkLibraryFile(libfabric)
    process.env[libfabricVariable] = libfabric
  }
  if (install !== true) return
  const { installMissingPeers } = await import("./install-peers.ts")
  await installMissingPeers(engines, signal)
}
